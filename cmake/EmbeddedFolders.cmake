# Folders of src/ that libwafer-embedded.a is made of, for those who compile it as part of theirs.
set(wafer_embedded_folders base devices devices/imports wasm runtime interp api capi embedded)
