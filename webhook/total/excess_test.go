package total

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"forewarm.dev/webhook"
)

func TestExcesses(t *testing.T) {
	replicas := webhook.Setting{On: webhook.Object{Kind: "Namespace", Name: "team"}, Annotation: webhook.MaxTotalReplicas, Set: true, Value: "10"}
	gpus := webhook.Setting{On: replicas.On, Annotation: webhook.MaxGPUs, Set: true, Value: "eight", LastGood: new("8")}
	unread := webhook.Setting{On: replicas.On, Annotation: webhook.MaxGPUs, Set: true, Value: "eight"}
	for name, c := range map[string]struct {
		standing webhook.Amounts
		settings []webhook.Setting
		want     []string
	}{
		"none set":  {webhook.Amounts{Replicas: 99}, nil, nil},
		"at it":     {webhook.Amounts{Replicas: 10}, []webhook.Setting{replicas}, nil},
		"above one": {webhook.Amounts{Replicas: 11, GPUs: 8}, []webhook.Setting{replicas, gpus}, []string{`11 replicas stand, at most 10 in all allowed by annotation forewarm.dev/max-total-replicas="10" on Namespace team`}},
		"above the last good": {webhook.Amounts{GPUs: 9}, []webhook.Setting{replicas, gpus}, []string{
			`9 GPUs stand, at most 8 in all allowed by annotation forewarm.dev/max-gpus="eight" on Namespace team (malformed; its last good value, 8, stays in force)`,
		}},
		"never read": {webhook.Amounts{GPUs: 9}, []webhook.Setting{unread}, nil},
	} {
		var got []string
		for _, e := range (Ledger{Standing: c.standing, Entries: map[Key]Entry{"deployments.apps/web": {Amounts: webhook.Amounts{Replicas: 100}}}}).Excesses(c.settings) {
			got = append(got, e.String())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}
