//! The dragon curve: a strip of paper that was folded in half again and again.

wit_bindgen::generate!({ path: "../canvas.wit", world: "picture" });

use example::canvas::canvas::{draw_line, Point};

const FOLDS: u32 = 13;

struct Dragon;

impl Guest for Dragon {
    fn draw(canvas: CanvasId, width: u32, height: u32) {
        // In steps, the curve reaches from (-85, -85) to (21, 42), seen from where it begins.
        let step = (width.min(height) / 140).max(1) as i64;
        let (mut x, mut y) = (width as i64 / 2 + 32 * step, height as i64 / 2 + 21 * step);
        let (mut dx, mut dy) = (step, 0);
        for fold in 1..=1u32 << FOLDS {
            let from = Point { x: x as u32, y: y as u32 };
            x += dx;
            y += dy;
            if x < 0 || y < 0 || x >= width as i64 || y >= height as i64 {
                return;
            }
            draw_line(canvas, from, Point { x: x as u32, y: y as u32 });
            // Which way the paper is folded here.
            let lowest = fold & fold.wrapping_neg();
            (dx, dy) = if fold & (lowest << 1) == 0 { (-dy, dx) } else { (dy, -dx) };
        }
    }
}

export!(Dragon);
