package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"text/tabwriter"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/bench/statistics"
)

// Rounds of two seconds, with what an arm registers put in before and taken out behind, tell half a
// millisecond apart. In turns everything is registered at once, each arm's for a Namespace of its
// own, and the arms change after a few writes: what else the machine does meets all of them alike,
// and within a run a tenth of a millisecond is told apart. All arms pay for the namespaceSelectors of all entries.

const (
	// perTurn is how many writes an arm has at a turn.
	perTurn = 10
	// ourEntries is the no-op registered as Forewarm is: what the entries cost the API server.
	ourEntries = "noop, our entries"
)

// turns are what was measured of an update that grows, one value per turn. The first arm is the
// baseline, the second the no-op.
type turns struct {
	arms    []arm
	figures []armFigures
	// latencies are those of every write, by arm and turn.
	latencies [][][]float64
}

func (b *bench) turnArms() []arm {
	noopURL := b.hooks[noop].url + "/review"
	arms := []arm{
		{name: baseline},
		{name: noop, hook: b.hooks[noop], objects: []client.Object{b.validating("bench-noop", noopURL, writes[0].rule)}},
		{name: ourEntries, hook: b.hooks[noop], objects: b.registeredBy(true)},
		{name: forewarm, hook: b.hooks[forewarm], objects: b.registeredBy(true)},
	}
	for i := range arms {
		a, own := &arms[i], fmt.Sprintf("bench-turn-%d", i)
		a.write = writes[0]
		a.write.path = strings.Replace(deploymentPath, "/"+namespace+"/", "/"+own+"/", 1)
		a.objects = within(a.objects, own)
		if a.name == ourEntries {
			redirect(a.objects, noopURL, b.identity.bundle)
		}
		a.objects = append(a.objects, writtenIn(own)...)
	}
	return arms
}

// within are configurations for one Namespace.
func within(objects []client.Object, namespace string) []client.Object {
	only := metav1.LabelSelectorRequirement{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: []string{namespace}}
	var out []client.Object
	for _, o := range objects {
		o = o.DeepCopyObject().(client.Object)
		eachEntry(o, func(_ *admissionregistrationv1.WebhookClientConfig, namespaces **metav1.LabelSelector) {
			if *namespaces == nil {
				*namespaces = &metav1.LabelSelector{}
			}
			(*namespaces).MatchExpressions = append((*namespaces).MatchExpressions, only)
		})
		out = append(out, o)
	}
	return out
}

// redirect puts another webhook behind the entries of configurations.
func redirect(objects []client.Object, url string, bundle []byte) {
	for _, o := range objects {
		o.SetName("bench-" + o.GetName())
		eachEntry(o, func(c *admissionregistrationv1.WebhookClientConfig, _ **metav1.LabelSelector) {
			c.URL, c.CABundle = &url, bundle
		})
	}
}

func eachEntry(o client.Object, do func(*admissionregistrationv1.WebhookClientConfig, **metav1.LabelSelector)) {
	switch o := o.(type) {
	case *admissionregistrationv1.ValidatingWebhookConfiguration:
		for i := range o.Webhooks {
			do(&o.Webhooks[i].ClientConfig, &o.Webhooks[i].NamespaceSelector)
		}
	case *admissionregistrationv1.MutatingWebhookConfiguration:
		for i := range o.Webhooks {
			do(&o.Webhooks[i].ClientConfig, &o.Webhooks[i].NamespaceSelector)
		}
	}
}

// writtenIn are a Namespace with a ceiling, and the Deployment in it.
func writtenIn(namespace string) []client.Object {
	d := deployment()
	d.Namespace = namespace
	return []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Annotations: map[string]string{v1alpha1.AnnotationMaxReplicas: fmt.Sprint(namespaceCeiling)}}},
		d,
	}
}

// measureInTurns has the arms take turns, in a new order each time.
func (b *bench) measureInTurns(ctx context.Context) (turns, error) {
	t := turns{arms: b.turnArms()}
	t.figures, t.latencies = make([]armFigures, len(t.arms)), make([][][]float64, len(t.arms))
	for _, a := range t.arms {
		if err := b.install(ctx, a.objects); err != nil {
			return t, err
		}
		if err := b.waitFor(ctx, "the API server to take the arm up", func() error { return b.takenUp(ctx, a, true) }); err != nil {
			return t, err
		}
	}
	before, err := b.asked(ctx)
	if err != nil {
		return t, err
	}
	want, err := b.takeTurns(ctx, t)
	if err != nil {
		return t, err
	}
	after, err := b.asked(ctx)
	if err != nil {
		return t, err
	}
	for name, h := range b.hooks {
		if got := after[name] - before[name]; got != want[h] {
			return t, fmt.Errorf("webhook %s had %.0f reviews in turns, want %.0f: they do not measure what they say", name, got, want[h])
		}
	}
	for _, a := range t.arms {
		if err := b.remove(ctx, a.objects); err != nil {
			return t, err
		}
	}
	return t, nil
}

// takeTurns returns how many reviews each webhook is asked for.
func (b *bench) takeTurns(ctx context.Context, t turns) (map[*hook]float64, error) {
	asked := map[*hook]float64{}
	turn := time.Duration(perTurn / b.settings.rate * float64(time.Second))
	dice := rand.New(rand.NewPCG(3, 3))
	for n := range b.settings.turns {
		for _, i := range dice.Perm(len(t.arms)) {
			latencies, err := b.metered(ctx, t.arms[i], turn, &t.figures[i])
			if err != nil {
				return nil, fmt.Errorf("turn %d, arm %s: %w", n+1, t.arms[i].name, err)
			}
			t.latencies[i] = append(t.latencies[i], latencies)
			asked[t.arms[i].hook] += float64(len(latencies))
		}
		if (n+1)%50 == 0 {
			b.progress("turns: %d of %d; p50 so far: %s", n+1, b.settings.turns, p50SoFar(t.arms, t.figures))
		}
	}
	return asked, nil
}

// ofTurns is a figure of an arm in some turns.
type ofTurns func(t turns, arm int, of []int) float64

// p50Of is that of all writes in the turns.
func p50Of(t turns, arm int, of []int) float64 {
	var all []float64
	for _, turn := range of {
		all = append(all, t.latencies[arm][turn]...)
	}
	return statistics.Quantile(all, 0.5)
}

// apiCPUOf is the median of the turns, which leaves out those into which the API server's garbage
// collection falls.
func apiCPUOf(t turns, arm int, of []int) float64 {
	var all []float64
	for _, turn := range of {
		all = append(all, t.figures[arm].apiCPU[turn])
	}
	return statistics.Quantile(all, 0.5)
}

// added is what an arm adds to the baseline.
func (t turns) added(arm int, f ofTurns) statistics.Estimate {
	return statistics.Resampled(len(t.latencies[arm]), func(of []int) float64 { return f(t, arm, of) - f(t, 0, of) })
}

// overNoop is what an arm adds over what the no-op adds.
func (t turns) overNoop(arm int, f ofTurns) statistics.Estimate {
	return statistics.Resampled(len(t.latencies[arm]), func(of []int) float64 {
		base := f(t, 0, of)
		return (f(t, arm, of) - base) / (f(t, 1, of) - base)
	})
}

// table prints what each arm adds.
func (t turns) table(out io.Writer, s settings) {
	fmt.Fprintf(out, "\nIn turns of %d updates, at %.0f/s, %d turns; added to the baseline, 90 %% intervals\n", perTurn, s.rate, s.turns)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "arm\tp50 ms\tAPI CPU µs\tp50 added ms\tover noop\tAPI CPU added µs\tover noop\twebhook CPU µs\t")
	all := make([]int, s.turns)
	for i := range all {
		all[i] = i
	}
	for i, a := range t.arms {
		fmt.Fprintf(table, "%s\t%.2f\t%.0f\t", a.name, p50Of(t, i, all), apiCPUOf(t, i, all))
		if i == 0 {
			fmt.Fprint(table, "\t\t\t\t\t\n")
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%.0f\t\n", written(t.added(i, p50Of), 2), written(t.overNoop(i, p50Of), 2), written(t.added(i, apiCPUOf), 0), written(t.overNoop(i, apiCPUOf), 2), statistics.Quantile(t.figures[i].hookCPU, 0.5))
	}
	_ = table.Flush()
}
