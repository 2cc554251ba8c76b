package v1alpha1

import (
	"fmt"
	"strings"
)

// MaxTier is the highest tier of a chunk.
const MaxTier = 9

// PlaceholderClass is the PriorityClass of the placeholder pods of a tier.
func PlaceholderClass(tier int32) string {
	if tier == 0 {
		return PlaceholderPriorityClass
	}
	return fmt.Sprintf("%s-%d", PlaceholderPriorityClass, tier)
}

// IsPlaceholderClass tells whether a PriorityClass is that of some tier.
func IsPlaceholderClass(name string) bool {
	tier, ok := strings.CutPrefix(name, PlaceholderPriorityClass)
	return ok && (tier == "" || len(tier) == 2 && tier[0] == '-' && tier[1] >= '1' && tier[1] <= '0'+MaxTier)
}

// PlaceholderClasses are the PriorityClasses of all tiers, the first to be taken first.
func PlaceholderClasses() []string {
	var names []string
	for tier := range int32(MaxTier + 1) {
		names = append(names, PlaceholderClass(tier))
	}
	return names
}

// PlaceholderPriority is the priority of placeholder pods of a tier, where those of tier 0 have the
// given one: higher by the tier, and never so high that a pod without a priority could not take them.
func PlaceholderPriority(lowest, tier int32) int32 {
	return min(lowest+tier, -1)
}
