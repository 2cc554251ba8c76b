package capacity

import (
	"fmt"
	"testing"

	"forewarm.dev/internal/quantity"
)

// TestWhatIsBoughtForIsNotBoughtAgain: autoscalers buy nodes of four for pods that wait, ours and others, and place
// what is ungated on those that are on their way, as Karpenter does on NodeClaims and Cluster Autoscaler on nodes that
// it has asked for. Rounding to whole nodes must count what these have room for, else a node is bought for one chunk.
func TestWhatIsBoughtForIsNotBoughtAgain(t *testing.T) {
	const perNode = 4
	chunk := Chunk{Name: "quarter", Requests: quantity.Vector{gpu: 2}, WaitCostPerHour: 60, IdleCostPerHour: 3, Max: 100, PerNode: perNode}
	nodes := func(chunks int64) int64 { return (chunks + perNode - 1) / perNode }
	for waiting := range int64(9) {
		for pending := range int64(9) {
			for asked := range int64(13) {
				for _, certain := range []bool{true, false} {
					state := State{Chunks: []ChunkState{{Waiting: waiting}}}
					for i := range pending {
						state.Chunks[0].Placeholders = append(state.Chunks[0].Placeholders, Placeholder{Name: fmt.Sprint(i), Stage: Pending})
					}
					demand := ChunkDemand{Now: float64(waiting), Known: float64(asked)}
					if !certain {
						demand = rising(float64(waiting), int(asked))
					}
					got := Plan(Demand{Chunks: []ChunkDemand{demand}}, state, limitsOf(chunk), now).Chunks[0]
					held := max(got.Wanted, pending) // those that wait are not given up for it
					if bought, need := nodes(waiting+held), nodes(waiting+max(asked, pending)); bought > need {
						t.Errorf("%d pods and %d placeholders wait, %d are asked for (certain: %t): %d wanted, which makes %d nodes, want %d", waiting, pending, asked, certain, got.Wanted, bought, need)
					}
					if certain && got.Wanted < asked {
						t.Errorf("%d pods and %d placeholders wait: %d wanted of %d that are asked for", waiting, pending, got.Wanted, asked)
					}
				}
			}
		}
	}
}
