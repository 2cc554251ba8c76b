package quantity

import "math"

// Add is a + b, none of them below zero; it stops at the largest int64.
func Add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// Multiply is a * b, none of them below zero; it stops at the largest int64.
func Multiply(a, b int64) int64 {
	if b != 0 && a > math.MaxInt64/b {
		return math.MaxInt64
	}
	return a * b
}
