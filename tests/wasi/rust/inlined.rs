// Traps in a function that is inlined into another.
mod shapes {
    pub struct Pile<T> {
        pub items: Vec<T>,
    }
    impl<T: Copy> Pile<T> {
        #[inline(always)]
        pub fn take(&self, i: usize) -> T {
            if i > 2 {
                core::arch::wasm32::unreachable();
            }
            self.items[i]
        }
    }
    #[inline(never)]
    pub fn total(pile: &Pile<i32>, n: usize) -> i32 {
        (0..n).map(|i| pile.take(i)).sum()
    }
}

fn main() {
    let pile = shapes::Pile { items: vec![1, 2, 3] };
    let n = std::env::args().count() + 3;
    std::process::exit((shapes::total(&pile, n) == 6) as i32);
}
