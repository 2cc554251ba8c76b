package webhook

import (
	"fmt"
	"math"
	"strconv"
)

// ParseCeiling reads the value of [MaxReplicas]: decimal digits, from 0 to 2147483647. No
// sign, space, fraction or exponent, since a ceiling must mean the same to everybody.
func ParseCeiling(value string) (int64, error) {
	for _, c := range []byte(value) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%q is not a whole number from 0 to %d", value, math.MaxInt32)
		}
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not a whole number from 0 to %d", value, math.MaxInt32)
	}
	return n, nil
}

// malformed refuses a write that introduces a value which cannot be read. A malformed
// value that is stored already does not block other edits of its object.
func malformed(r Request, d *draft) bool {
	if !r.Own.Set || (r.OldOwn.Set && r.Own.Value == r.OldOwn.Value) {
		return false
	}
	if _, err := ParseCeiling(r.Own.Value); err != nil {
		return d.finish(Deny, ReasonMalformed, fmt.Sprintf(
			`%s: annotation %s: %v; write for example %s: "10", or remove the annotation`,
			r.Object, MaxReplicas, err, MaxReplicas))
	}
	return false
}
