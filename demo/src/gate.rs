//! One-qubit gates as two-by-two complex matrices.
//!
//! Only the two rotations the circuit uses are here; CNOT moves amplitudes without arithmetic and
//! lives with the state vector. Every gate is unitary. `Complex` has just the operations that
//! applying a gate needs: it is not a general complex number type.

use std::ops::{Add, Mul};

/// A complex number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Complex {
    pub re: f64,
    pub im: f64,
}

impl Complex {
    pub const ZERO: Self = Self::new(0.0, 0.0);
    pub const ONE: Self = Self::new(1.0, 0.0);

    pub const fn new(re: f64, im: f64) -> Self {
        Self { re, im }
    }

    /// |z|²: the probability that belongs to an amplitude.
    #[inline]
    pub fn norm_squared(self) -> f64 {
        self.re * self.re + self.im * self.im
    }
}

impl Add for Complex {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        Self::new(self.re + other.re, self.im + other.im)
    }
}

impl Mul for Complex {
    type Output = Self;

    #[inline]
    fn mul(self, other: Self) -> Self {
        Self::new(self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re)
    }
}

/// A one-qubit gate, by rows: `gate[row][column]`.
pub type Gate = [[Complex; 2]; 2];

/// exp(-i angle Y / 2), a rotation about the y axis of the Bloch sphere. The angle is in radians.
pub fn ry(angle: f64) -> Gate {
    let (sin, cos) = (angle / 2.0).sin_cos();
    let real = |value| Complex::new(value, 0.0);
    [[real(cos), real(-sin)], [real(sin), real(cos)]]
}

/// exp(-i angle Z / 2), a rotation about the z axis of the Bloch sphere. The angle is in radians.
pub fn rz(angle: f64) -> Gate {
    let (sin, cos) = (angle / 2.0).sin_cos();
    [[Complex::new(cos, -sin), Complex::ZERO], [Complex::ZERO, Complex::new(cos, sin)]]
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_1_SQRT_2, PI};

    use super::*;

    #[track_caller]
    fn check(actual: Gate, expected: [[(f64, f64); 2]; 2]) {
        for (a, (re, im)) in actual.iter().flatten().zip(expected.iter().flatten()) {
            assert!((a.re - re).abs() < 1e-15 && (a.im - im).abs() < 1e-15, "{actual:?}");
        }
    }

    /// U†U, which is the identity for a unitary U.
    fn gram(gate: Gate) -> Gate {
        let conjugate = |z: Complex| Complex::new(z.re, -z.im);
        let entry = |i: usize, j: usize| {
            conjugate(gate[0][i]) * gate[0][j] + conjugate(gate[1][i]) * gate[1][j]
        };
        [[entry(0, 0), entry(0, 1)], [entry(1, 0), entry(1, 1)]]
    }

    #[test]
    fn gates_are_unitary() {
        let identity = [[(1.0, 0.0), (0.0, 0.0)], [(0.0, 0.0), (1.0, 0.0)]];
        for angle in [-7.0, -PI, -0.3, 0.0, 1e-9, 0.5, PI / 2.0, 3.0, 12.5] {
            check(gram(ry(angle)), identity);
            check(gram(rz(angle)), identity);
        }
    }

    #[test]
    fn gates_match_the_known_matrices() {
        let h = FRAC_1_SQRT_2;
        check(ry(PI), [[(0.0, 0.0), (-1.0, 0.0)], [(1.0, 0.0), (0.0, 0.0)]]);
        check(ry(PI / 2.0), [[(h, 0.0), (-h, 0.0)], [(h, 0.0), (h, 0.0)]]);
        check(rz(PI), [[(0.0, -1.0), (0.0, 0.0)], [(0.0, 0.0), (0.0, 1.0)]]);
        check(rz(PI / 2.0), [[(h, -h), (0.0, 0.0)], [(0.0, 0.0), (h, h)]]);
    }
}
