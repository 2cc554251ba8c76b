package handler

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"forewarm.dev/webhook"
)

// TestTell: a raise is told of before it is answered, and no other write is.
func TestTell(t *testing.T) {
	with := func(annotations string) string {
		return `{"metadata":{"name":"web","resourceVersion":"7","annotations":{` + annotations + `}},"spec":{"replicas":3}}`
	}
	const five, eight = `"forewarm.dev/max-replicas":"5"`, `"forewarm.dev/max-replicas":"8"`
	const override = `,"forewarm.dev/ceiling-override":"9 until 2999-01-01T00:00:00Z: test"`
	cases := map[string]struct {
		body string
		may  string
		want string
		err  error
	}{
		"raised":        {deploymentReview("UPDATE", with(eight), with(five)), "admin", "team deployments.apps/web", nil},
		"not followed":  {deploymentReview("UPDATE", with(eight), with(five)), "admin", "team deployments.apps/web", errors.New("no answer")},
		"removed":       {deploymentReview("UPDATE", with(""), with(five)), "admin", "team deployments.apps/web", nil},
		"overridden":    {deploymentReview("UPDATE", with(five+override), with(five)), "admin", "team deployments.apps/web", nil},
		"tightened":     {deploymentReview("UPDATE", with(five), with(eight)), "admin", "", nil},
		"not permitted": {deploymentReview("UPDATE", with(eight), with(five)), "tenant", "", nil},
		"a dry run":     {strings.Replace(deploymentReview("UPDATE", with(eight), with(five)), `"uid"`, `"dryRun":true,"uid"`, 1), "admin", "", nil},
		"created":       {deploymentReview("CREATE", with(eight), ""), "admin", "", nil},
		"of another":    {deploymentReview("UPDATE", with(five+`,"a":"b"`), with(five)), "admin", "", nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o, told := newWorld(t, team(nil)).options, ""
			o.Registerer = prometheus.NewRegistry()
			o.Raised = func(_ context.Context, namespace, workload string, written map[string]webhook.Rewrite) error {
				told = namespace + " " + workload
				if len(written) == 0 {
					t.Error("told of nothing")
				}
				return c.err
			}
			body := strings.Replace(c.body, `"uid":"r1"`, `"uid":"r1","userInfo":{"username":"`+c.may+`"}`, 1)
			if got := answer(t, post(New(o).Ceilings, body)); got.Allowed == (c.may == "tenant") {
				t.Errorf("answer %+v", got)
			}
			if told != c.want {
				t.Errorf("told of %q, want %q", told, c.want)
			}
		})
	}
}
