#!/bin/sh
# arduino.sh SOURCE BUILD: compiles what ports/arduino/pack makes, for each interpreter, and its
# example, with Arm's compiler and a stand-in for Arduino's core, and links them.
set -eu
source=$1 build=$2
command -v arm-none-eabi-g++ >/dev/null || { echo "skipped: no arm-none-eabi-g++"; exit 77; }
echo '#include <new>' | arm-none-eabi-g++ -E -x c++ - >/dev/null 2>&1 ||
  { echo "skipped: no C++ library for arm-none-eabi-g++"; exit 77; }
rm -rf "$build"
mkdir -p "$build/core"
cat >"$build/core/Arduino.h" <<'C'
#pragma once
#include <stddef.h>
#include <stdint.h>
#define LED_BUILTIN 13
#define HIGH 1
#define LOW 0
#define OUTPUT 1
extern "C" unsigned long micros();
extern "C" void delay(unsigned long);
extern "C" void digitalWrite(int, int);
extern "C" void pinMode(int, int);
struct Console {
  void begin(long);
  void println(const char*);
  void write(const uint8_t*, size_t);
  int available();
  int read();
};
extern Console Serial;
C
cat >"$build/core/core.cpp" <<'C'
#include <Arduino.h>
Console Serial;
void Console::begin(long) {}
void Console::println(const char*) {}
void Console::write(const uint8_t*, size_t) {}
int Console::available() { return 0; }
int Console::read() { return 0; }
unsigned long micros() { return 0; }
void delay(unsigned long) {}
void digitalWrite(int, int) {}
void pinMode(int, int) {}
void setup();
void loop();
int main() {
  setup();
  for (;;) loop();
}
C
cp "$source/ports/arduino/examples/blink/blink.ino" "$build/core/blink.cpp"
sed -i '1i #include <Arduino.h>' "$build/core/blink.cpp"
ccache=$(command -v ccache || true)
for interpreter in translating in-place; do
  out=$build/$interpreter
  mkdir -p "$out/obj"
  WAFER_PROFILE=minimal WAFER_INTERPRETER=$interpreter "$source/ports/arduino/pack" "$out/library"
  flags="-mcpu=cortex-m4 -mthumb -Os -ffunction-sections -fdata-sections -w -I$build/core -I$out/library/src"
  for file in $(find "$out/library/src" "$build/core" -name '*.cpp' -o -name '*.c'); do
    object=$out/obj/$(echo "${file#"$build"/}" | tr / _).o
    case $file in
      *.cpp) compile="arm-none-eabi-g++ -std=gnu++20 -fno-exceptions -fno-rtti -fno-threadsafe-statics" ;;
      *) compile="arm-none-eabi-gcc" ;;
    esac
    echo "$ccache $compile $flags -c $file -o $object"
  done | xargs -P "$(nproc)" -I{} sh -c '{}'
  arm-none-eabi-g++ -mcpu=cortex-m4 -mthumb --specs=nano.specs --specs=nosys.specs -Wl,--gc-sections -w \
    "$out"/obj/*.o -o "$out/blink.elf"
  arm-none-eabi-size "$out/blink.elf"
done
