package extender

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/internal/quantity"
)

// TestHoldsCountEachPodOnce compares with the plain list of holds, over random changes.
func TestHoldsCountEachPodOnce(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var holds Holds
	want := map[types.UID]Hold{}
	start := time.Unix(1000, 0)
	for step := range 5000 {
		uid := types.UID(fmt.Sprint("p", random.IntN(20)))
		now := start.Add(time.Duration(step) * time.Second)
		switch random.IntN(3) {
		case 0, 1:
			hold := Hold{Node: fmt.Sprint("n", random.IntN(3)), Requests: quantity.Vector{gpu: random.Int64N(3)}, Expires: now.Add(time.Duration(random.IntN(30)) * time.Second)}
			holds.Put(uid, hold)
			want[uid] = hold
		default:
			if got := holds.Drop(uid); got != want[uid].Node {
				t.Fatalf("dropped from %q, want %q", got, want[uid].Node)
			}
			delete(want, uid)
		}
		for _, gone := range holds.Expired(now) {
			if !want[gone].Expires.Before(now) {
				t.Fatalf("%s ran out early", gone)
			}
			holds.Drop(gone)
			delete(want, gone)
		}
		sum := map[string]int64{}
		for _, hold := range want {
			sum[hold.Node] += hold.Requests[gpu]
		}
		for _, node := range []string{"n0", "n1", "n2"} {
			if holds.On(node)[gpu] != sum[node] {
				t.Fatalf("step %d: %d GPUs on %s, want %d", step, holds.On(node)[gpu], node, sum[node])
			}
		}
		if holds.Len() != len(want) {
			t.Fatalf("%d holds, want %d", holds.Len(), len(want))
		}
	}
}
