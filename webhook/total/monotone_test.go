package total

import (
	"fmt"
	"testing"

	"forewarm.dev/webhook"
)

// FuzzMonotone: a lower total never lets in what a higher one refuses.
func FuzzMonotone(f *testing.F) {
	f.Add(int64(4), int64(3), int64(6), uint16(10), uint16(9), true)
	f.Add(int64(9), int64(9), int64(60), uint16(10), uint16(0), false)
	f.Fuzz(func(t *testing.T, now, old, others int64, total, less uint16, complete bool) {
		at := func(total uint16) webhook.Decision {
			l := Ledger{Version: "5", Complete: complete, Entries: map[Key]Entry{"deployments.apps/db": {Amounts: webhook.Amounts{Replicas: max(others, 0)}, Version: "4"}}}
			d, _ := l.Review(Claim{
				Object: webhook.Object{Kind: "Deployment", Namespace: "team", Name: "web"}, Key: KeyOf("apps", "deployments", "web"), Version: "4", Old: webhook.Amounts{Replicas: max(old, 0)}, New: webhook.Amounts{Replicas: max(now, 0)},
				Totals: []webhook.Setting{totalOf(webhook.MaxTotalReplicas, fmt.Sprint(total))},
			})
			return d
		}
		high, low := at(max(total, less)), at(min(total, less))
		if high.Verdict == webhook.Deny && low.Verdict == webhook.Allow {
			t.Errorf("%d instead of %d beside %d: refused at %d, let in at %d", now, old, others, max(total, less), min(total, less))
		}
	})
}
