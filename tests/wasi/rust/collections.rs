// The standard library's collections, strings, formatting and traits.
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::fmt;

#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Shape {
    Circle { radius: f64 },
    Rect(f64, f64),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Shape::Circle { radius } => write!(f, "circle of {:.2}", radius),
            Shape::Rect(w, h) => write!(f, "{} by {}", w, h),
        }
    }
}

trait Area {
    fn area(&self) -> f64;
}
impl Area for Shape {
    fn area(&self) -> f64 {
        match self {
            Shape::Circle { radius } => std::f64::consts::PI * radius * radius,
            Shape::Rect(w, h) => w * h,
        }
    }
}

fn main() {
    let text = "the quick brown fox jumps over the lazy dog the end";
    let mut words: HashMap<&str, usize> = HashMap::new();
    for w in text.split_whitespace() {
        *words.entry(w).or_default() += 1;
    }
    let mut counted: Vec<_> = words.iter().collect();
    counted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    println!("{:?}", &counted[..3]);

    let squares: BTreeMap<u32, u64> = (0..1000).map(|i| (i, u64::from(i) * u64::from(i))).collect();
    println!("{:?}", squares.range(10..13).collect::<Vec<_>>());
    println!("{}", squares.values().sum::<u64>());

    let odd: HashSet<i32> = (0..50).filter(|i| i % 2 == 1).collect();
    let fives: HashSet<i32> = (0..50).step_by(5).collect();
    println!("{:?}", odd.intersection(&fives).collect::<BTreeSet<_>>());

    let mut heap: BinaryHeap<_> = vec![5, 1, 8, 3, 9, 2].into_iter().collect();
    let mut drained = VecDeque::new();
    while let Some(x) = heap.pop() {
        drained.push_front(x);
    }
    println!("{:?}", drained);

    let shapes: Vec<Box<dyn Area>> =
        vec![Box::new(Shape::Circle { radius: 1.5 }), Box::new(Shape::Rect(2.0, 4.5))];
    println!("{:.4}", shapes.iter().map(|s| s.area()).sum::<f64>());
    println!("{} / {:?}", Shape::Circle { radius: 2.0 }, Shape::Rect(1.0, 2.5));
    println!("{:#x} {:08b} {:>6}|{:<6}|{:^6}| {:e}", 255, 37, "r", "l", "c", 1234.5);
    println!("{}", "größe 日本".chars().rev().collect::<String>());
    println!("{:?}", i32::MAX.checked_add(1));
    println!("{}", u128::MAX);

    // A sieve, to have something to do.
    let mut composite = vec![false; 200_000];
    let mut primes = 0;
    for i in 2..composite.len() {
        if !composite[i] {
            primes += 1;
            let mut j = i * i;
            while j < composite.len() {
                composite[j] = true;
                j += i;
            }
        }
    }
    println!("{} primes", primes);
}
