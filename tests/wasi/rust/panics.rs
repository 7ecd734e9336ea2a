// A panic prints its message and place, then traps.
fn main() {
    let values = vec![1, 2, 3];
    let index = std::env::args().count() + 5;
    println!("about to panic");
    println!("{}", values[index]);
}
