package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

// reserverConditions makes pools that nobody's pods belong to, in mode Enforce. Only the one
// that overlaps wants placeholders, which it must not get.
func reserverConditions(t *testing.T, e *loopEnv) {
	ctx := t.Context()
	wrong := map[string]struct {
		pool      *v1alpha1.WarmPool
		condition string
		reason    string
		says      string
	}{
		"selects nothing": {loopPool("nothing", "typo", 0, 0), v1alpha1.ConditionInfeasible, v1alpha1.ReasonSelectsNothing, "spec.nodes.selector"},
		"chunk too large": {loopPool("too-large", "", 0, 0), v1alpha1.ConditionInfeasible, v1alpha1.ReasonChunkTooLarge, "spec.chunks"},
		"overlap":         {loopPool("younger", "warm", 1, 2), v1alpha1.ConditionConflict, v1alpha1.ReasonOverlap, loopName},
	}
	large := wrong["chunk too large"].pool
	large.Spec.Nodes.Selector.MatchLabels = map[string]string{"pool": "free"}
	large.Spec.Chunks[0].Requests = extenderGPUs(16)
	made, _, _, _ := e.pods.counts()
	for _, w := range wrong {
		w.pool.Spec.Demand.NamespaceSelector.MatchLabels = map[string]string{"team": "nobody"}
		w.pool.Spec.Mode = v1alpha1.ModeEnforce
		e.create(t, w.pool)
	}
	for name, w := range wrong {
		cluster.Eventually(t, loopWait, func() error {
			pool, _, err := e.status(ctx, w.pool.Name)
			if err != nil {
				return err
			}
			if err := loopCondition(pool, w.condition, metav1.ConditionTrue, w.reason); err != nil {
				return err
			}
			if message := meta.FindStatusCondition(pool.Status.Conditions, w.condition).Message; !strings.Contains(message, w.says) {
				return fmt.Errorf("%s: message %q lacks %q", name, message, w.says)
			}
			return nil
		})
	}
	loopNever(t, loopWindow, func() error {
		if now, _, _, _ := e.pods.counts(); now != made {
			return fmt.Errorf("%d placeholders made, although the younger pool is frozen and the others have max 0", now-made)
		}
		pool, _, err := e.status(ctx, loopName)
		return errors.Join(err, loopCondition(pool, v1alpha1.ConditionConflict, metav1.ConditionFalse, v1alpha1.ReasonNoOverlap))
	})
	for _, w := range wrong {
		if err := e.Client.Delete(ctx, w.pool); err != nil {
			t.Fatal(err)
		}
	}
}

// reserverRefused: what the API server refuses, strictly validated, and what it says.
func reserverRefused(t *testing.T, e *loopEnv) {
	strict := client.WithFieldValidation(e.Client, metav1.FieldValidationStrict)
	chunk := func(field string, value any) func(map[string]any) {
		return func(spec map[string]any) { spec["chunks"].([]any)[0].(map[string]any)[field] = value }
	}
	section := func(section, field string, value any) func(map[string]any) {
		return func(spec map[string]any) { spec[section].(map[string]any)[field] = value }
	}
	tests := map[string]struct {
		edit func(spec map[string]any)
		want string
	}{
		"min above max":           {chunk("min", int64(9)), "min must not exceed max: lower min or raise max"},
		"empty selector":          {section("nodes", "selector", map[string]any{}), "spec.nodes.selector must not be empty"},
		"unknown field":           {func(spec map[string]any) { spec["mdoe"] = "Enforce" }, `unknown field "spec.mdoe"`},
		"unknown field of chunk":  {chunk("maximum", int64(3)), `unknown field "spec.chunks[0].maximum"`},
		"chunk without resource":  {chunk("requests", map[string]any{"cpu": "1"}), "every chunk must request spec.demand.resource"},
		"chunk of nothing":        {chunk("requests", map[string]any{"nvidia.com/gpu": int64(0)}), "must be greater than zero"},
		"negative request":        {chunk("requests", map[string]any{"nvidia.com/gpu": "-1"}), "must be greater than zero"},
		"cost in words":           {chunk("waitCostPerHour", "lots"), "spec.chunks[0].waitCostPerHour"},
		"interval too short":      {section("forecast", "interval", "10ms"), "spec.forecast.interval must be from 1s to 1h"},
		"interval too long":       {section("forecast", "interval", "2h"), "spec.forecast.interval must be from 1s to 1h"},
		"history too long":        {section("forecast", "history", "1441h"), "spec.forecast.history must be from 1m to 1440h"},
		"lead time of nothing":    {section("sizing", "leadTime", "0s"), "spec.sizing.leadTime must be Auto, or from 1s to 2h"},
		"lead time in words":      {section("sizing", "leadTime", "soon"), "spec.sizing.leadTime"},
		"unknown mode":            {func(spec map[string]any) { spec["mode"] = "Force" }, `Unsupported value: "Force"`},
		"two chunks of one name":  {func(spec map[string]any) { spec["chunks"] = append(spec["chunks"].([]any), spec["chunks"].([]any)[0]) }, "Duplicate value"},
		"no chunk":                {func(spec map[string]any) { spec["chunks"] = []any{} }, "spec.chunks"},
		"no resource":             {section("demand", "resource", ""), "spec.demand.resource must name a resource"},
		"budget in words":         {section("sizing", "idleBudgetPerHour", "much"), "spec.sizing.idleBudgetPerHour"},
		"negative nodes":          {section("sizing", "maxNodes", int64(-1)), "spec.sizing.maxNodes"},
		"billing of a week":       {section("sizing", "minBilling", "168h"), "spec.sizing.minBilling must be from 0s to 24h"},
		"duration without a unit": {section("sizing", "hold", "10"), "spec.sizing.hold"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(loopPool("refused", "warm", 0, 3))
			if err != nil {
				t.Fatal(err)
			}
			delete(fields, "status")
			spec := fields["spec"].(map[string]any)
			test.edit(spec)
			pool := &unstructured.Unstructured{Object: fields}
			pool.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("WarmPool"))
			err = strict.Create(t.Context(), pool)
			if err == nil {
				_ = e.Client.Delete(t.Context(), pool)
				t.Fatal("it was accepted")
			}
			if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want a refusal that says %q", err, test.want)
			}
		})
	}
}

// run runs a binary of ours to its end.
func (e *loopEnv) run(t *testing.T, kind string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(t.Context(), filepath.Join(cluster.Programs(t), kind), args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &complaints, time.Second
	stop := time.AfterFunc(loopWait, func() { _ = cmd.Process.Kill() })
	defer stop.Stop()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), complaints.String(), cmd.ProcessState.ExitCode()
}

func reserverStatus(t *testing.T, e *loopEnv) {
	out, complaints, code := e.run(t, "forewarmctl", "status", "--kubeconfig", e.Kubeconfig)
	row := ""
	for line := range strings.SplitSeq(out, "\n") {
		if strings.HasPrefix(line, loopName+" ") {
			row = strings.Join(strings.Fields(line), " ")
		}
	}
	if want := loopName + " Enforce True (Reserved) single 8 "; code != 0 || !strings.HasPrefix(row, want) {
		t.Errorf("exit code %d, %s, row %q, want it to start with %q; table:\n%s", code, complaints, row, want, out)
	}
	out, complaints, code = e.run(t, "forewarmctl", "status", loopName, "-o", "json", "--kubeconfig", e.Kubeconfig)
	var list v1alpha1.WarmPoolList
	if err := json.Unmarshal([]byte(out), &list); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v, %s, output:\n%s", code, err, complaints, out)
	}
	if len(list.Items) != 1 || list.Items[0].Name != loopName || len(list.Items[0].Status.Chunks) != 1 {
		t.Errorf("-o json printed %+v", list)
	}
	out, complaints, code = e.run(t, "forewarmctl", "explain", "forecast", loopName, "--kubeconfig", e.Kubeconfig)
	for _, want := range []string{loopName + ", chunk single", "quantile", "wanted    ", "ForecastModel " + loopName + ".single"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, %s, want %q in:\n%s", code, complaints, want, out)
		}
	}
	_, complaints, code = e.run(t, "forewarmctl", "status", "nosuch", "--kubeconfig", e.Kubeconfig)
	if code != 1 || !strings.Contains(complaints, `no WarmPool "nosuch"`) || !strings.Contains(complaints, loopName) {
		t.Errorf("exit code %d, %q; want 1 and the names that there are", code, complaints)
	}
}

// reserverCannotStart: exit code 1 and one line that names what is wrong.
func reserverCannotStart(t *testing.T, e *loopEnv) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	busy, free, missing := listener.Addr().String(), "127.0.0.1:0", filepath.Join(e.Dir, "nosuch.kubeconfig")
	dead := loopAddress(t)
	unreachable := filepath.Join(e.Dir, "unreachable.kubeconfig")
	content := fmt.Sprintf("apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: \"https://%s\"}}]\ncontexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n", dead)
	if err := os.WriteFile(unreachable, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"reserver", "extender"} {
		address := map[string]string{"extender": fmt.Sprintf("address: %q, ", loopAddress(t))}[kind]
		section := func(health, metrics string) string {
			return fmt.Sprintf("%s: {%shealthAddress: %q, metricsAddress: %q}", kind, address, health, metrics)
		}
		good := section(free, free)
		tests := map[string]struct {
			config, kubeconfig string
			want               []string
		}{
			"busy health port":     {section(busy, free), e.Kubeconfig, []string{busy, "healthAddress", "in use"}},
			"busy metrics port":    {section(free, busy), e.Kubeconfig, []string{busy, "metricsAddress", "in use"}},
			"missing kubeconfig":   {good, missing, []string{missing, "--kubeconfig"}},
			"unreachable server":   {good, unreachable, []string{dead, "--kubeconfig"}},
			"unknown field":        {kind + ": {host: x}", e.Kubeconfig, []string{kind + ".host"}},
			"address without port": {section("here", free), e.Kubeconfig, []string{kind + ".healthAddress", "host:port"}},
			"not YAML":             {"{", e.Kubeconfig, []string{"configuration", ".yaml"}},
		}
		for name, test := range tests {
			t.Run(kind+", "+name, func(t *testing.T) {
				out, complaints, code := e.run(t, kind, "--config", e.config(t, test.config), "--kubeconfig", test.kubeconfig)
				if code != 1 || out != "" {
					t.Errorf("exit code %d, stdout %q; want 1 and nothing", code, out)
				}
				for _, want := range test.want {
					if !strings.Contains(complaints, want) {
						t.Errorf("it says %q, which lacks %q", complaints, want)
					}
				}
			})
		}
	}
}
