//! The thermostat of thermostat.c in Rust, without a crate: what it imports has the core signatures
//! of the canonical ABI, as docs/devices.md says. tests/devices/guests.py builds it.
#![no_std]

use core::ptr::addr_of_mut;

const SENSOR_ADDRESS: u32 = 0x48;
const TEMPERATURE: u8 = 0;
const HYSTERESIS: i32 = 4; // 1/16 degrees
const NO_SENSOR: i32 = -1001;
const NO_DISPLAY: i32 = -1002;
const NO_RELAY: i32 = -1003;
const FAILED: i32 = -1004;
const SECOND: u32 = 1_000_000_000;

// ---- Memory: what functions give is used at once, and its place is used again in the next round

static mut HEAP: [u64; 32] = [0; 32];
static mut USED: usize = 0; // words

#[no_mangle]
pub extern "C" fn cabi_realloc(
    _old: *mut u8,
    _old_size: usize,
    _align: usize,
    size: usize,
) -> *mut u8 {
    // Only ever of nothing: nothing grows.
    unsafe {
        let at = USED;
        USED += size.div_ceil(8);
        if USED > 32 {
            core::arch::wasm32::unreachable();
        }
        addr_of_mut!(HEAP).cast::<u64>().add(at).cast()
    }
}

fn forget_lists() {
    unsafe { USED = 0 };
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

// ---- The devices

/// Where a function leaves a result or an option: the case in the first byte, and what it has from
/// the second word on.
#[repr(C)]
#[derive(Default)]
struct Answer {
    case: u8,
    words: [u32; 7],
}

impl Answer {
    /// What a result has that is no error.
    fn ok(&self) -> Option<[u32; 2]> {
        (self.case == 0).then_some([self.words[0], self.words[1]])
    }
    fn some(&self) -> Option<u32> {
        (self.case == 1).then_some(self.words[0])
    }
}

macro_rules! imports {
    ($($module:literal {
        $($name:literal fn $function:ident($($p:ident: $t:ty),*) $(-> $r:ty)?;)*
    })*) => {
        $(#[link(wasm_import_module = $module)]
        extern "C" {
            $(#[link_name = $name]
            fn $function($($p: $t),*) $(-> $r)?;)*
        })*
    };
}

imports! {
    "wasi:i2c/i2c@0.2.0-draft" {
        "[method]i2c.write-read" fn i2c_write_read(bus: u32, address: u32, bytes: *const u8,
            count: usize, read: u64, answer: *mut Answer);
        "[resource-drop]i2c" fn i2c_drop(bus: u32);
    }
    "wasi:i2c/delay@0.2.0-draft" {
        "[method]delay.delay-ns" fn delay_ns(delay: u32, nanoseconds: u32);
        "[resource-drop]delay" fn delay_drop(delay: u32);
    }
    "wafer:devices/i2c@0.1.0" {
        "open" fn i2c_open(name: *const u8, size: usize, answer: *mut Answer);
        "get-delay" fn get_delay() -> u32;
    }
    "wasi:spi/spi" {
        "open" fn spi_open(name: *const u8, size: usize, answer: *mut Answer);
        "[method]spi-device.write" fn spi_write(device: u32, bytes: *const u8, count: usize,
            answer: *mut Answer);
        "[resource-drop]spi-device" fn spi_drop(device: u32);
    }
    "wafer:devices/gpio@0.1.0" {
        "get-digital-out" fn get_digital_out(label: *const u8, size: usize, flags: u32,
            answer: *mut Answer);
    }
    "wasi:gpio/digital@0.2.0" {
        "[method]digital-out-pin.set-active" fn set_active(pin: u32, answer: *mut Answer);
        "[method]digital-out-pin.set-inactive" fn set_inactive(pin: u32, answer: *mut Answer);
        "[resource-drop]digital-out-pin" fn pin_drop(pin: u32);
    }
}

/// Calls a function with a place for what it gives.
fn ask(call: impl FnOnce(*mut Answer)) -> Answer {
    let mut answer = Answer::default();
    call(&mut answer);
    answer
}

struct Bus(u32);
struct Delay(u32);
struct Display(u32);
struct Relay(u32);

impl Bus {
    fn open(name: &str) -> Option<Bus> {
        ask(|a| unsafe { i2c_open(name.as_ptr(), name.len(), a) })
            .some()
            .map(Bus)
    }
    /// The temperature in 1/16 degrees, if the sensor answers.
    fn measure(&self) -> Option<i32> {
        let command = [TEMPERATURE];
        let [at, count] = ask(|a| unsafe {
            i2c_write_read(
                self.0,
                SENSOR_ADDRESS,
                command.as_ptr(),
                command.len(),
                2,
                a,
            )
        })
        .ok()?;
        let bytes = unsafe { core::slice::from_raw_parts(at as *const u8, count as usize) };
        let bytes: [u8; 2] = bytes.try_into().ok()?;
        Some((i16::from_be_bytes(bytes) >> 4).into())
    }
}
impl Display {
    fn open(name: &str) -> Option<Display> {
        let [device, _] = ask(|a| unsafe { spi_open(name.as_ptr(), name.len(), a) }).ok()?;
        Some(Display(device))
    }
    fn show(&self, line: &[u8]) -> Option<()> {
        ask(|a| unsafe { spi_write(self.0, line.as_ptr(), line.len(), a) })
            .ok()
            .map(|_| ())
    }
}
impl Relay {
    fn open(label: &str) -> Option<Relay> {
        let [pin, _] =
            ask(|a| unsafe { get_digital_out(label.as_ptr(), label.len(), 0, a) }).ok()?;
        Some(Relay(pin))
    }
    fn switch(&self, on: bool) -> Option<()> {
        let set = if on { set_active } else { set_inactive };
        ask(|a| unsafe { set(self.0, a) }).ok().map(|_| ())
    }
}

macro_rules! dropped_by {
    ($($resource:ident: $function:ident),*) => {
        $(impl Drop for $resource {
            fn drop(&mut self) {
                unsafe { $function(self.0) }
            }
        })*
    };
}
dropped_by!(Bus: i2c_drop, Delay: delay_drop, Display: spi_drop, Relay: pin_drop);

/// "21.5 on"
fn format(sixteenths: i32, on: bool, line: &mut [u8; 16]) -> &[u8] {
    let mut size = 0;
    let mut put = |byte: u8| {
        line[size] = byte;
        size += 1;
    };
    if sixteenths < 0 {
        put(b'-');
    }
    let tenths = (sixteenths.unsigned_abs() * 10 + 8) / 16;
    for unit in [1000, 100, 10, 1] {
        if tenths < unit && unit > 10 {
            continue;
        }
        if unit == 1 {
            put(b'.');
        }
        put(b'0' + (tenths / unit % 10) as u8);
    }
    for &byte in if on { " on" } else { " off" }.as_bytes() {
        put(byte);
    }
    &line[..size]
}

fn keep(rounds: u32, target: i32) -> Result<i32, i32> {
    let bus = Bus::open("sensor").ok_or(NO_SENSOR)?;
    let display = Display::open("display").ok_or(NO_DISPLAY)?;
    let relay = Relay::open("relay").ok_or(NO_RELAY)?;
    let delay = Delay(unsafe { get_delay() });
    let mut temperature = FAILED;
    let mut on = false;
    for _ in 0..rounds {
        forget_lists();
        temperature = bus.measure().ok_or(FAILED)?;
        if temperature < target - HYSTERESIS {
            on = true;
        }
        if temperature > target + HYSTERESIS {
            on = false;
        }
        relay.switch(on).ok_or(FAILED)?;
        display
            .show(format(temperature, on, &mut [0; 16]))
            .ok_or(FAILED)?;
        unsafe { delay_ns(delay.0, SECOND) };
    }
    Ok(temperature)
}

/// Runs for so many rounds of a second; gives the last temperature in 1/16 degrees, or an error
/// below -1000.
#[no_mangle]
pub extern "C" fn run(rounds: u32, target: i32) -> i32 {
    forget_lists();
    keep(rounds, target).unwrap_or_else(|error| error)
}
