package webhook

import (
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"forewarm.dev/internal/quantity"
	"forewarm.dev/webhook/expression"
)

// Groups says that an object has groups of pods, as many as its replicas. Each has a leading pod, NAME-ORDINAL;
// the others come of an object of that same name, which that pod controls. By the names there are no more of
// those than groups, whoever makes them.
type Groups struct {
	// Size is how many pods a group has, the leading one among them, with the template of the others.
	Size Count
	// Replicas is how many groups there are.
	Replicas expression.Expression
	// Surge is the path at which stands how many more there may be during a rollout; none where it is left out.
	Surge string
}

// Leader is the object of whose groups one is that has a name and a controller, and which group that is; false
// where it has no leading pod as its controller.
func Leader(name string, controller *metav1.OwnerReference) (of string, ordinal int64, led bool) {
	if controller == nil || controller.APIVersion != "v1" || controller.Kind != "Pod" || controller.Name != name {
		return "", 0, false
	}
	at := strings.LastIndex(name, "-")
	if at <= 0 {
		return "", 0, false
	}
	ordinal, err := strconv.ParseInt(name[at+1:], 10, 32)
	if err != nil || strconv.FormatInt(ordinal, 10) != name[at+1:] {
		return "", 0, false
	}
	return name[:at], ordinal, true
}

// Members are what the object of a group may ask for, and of how many groups.
type Members struct {
	// Groups are those that the object counts for, and Surge is how many more a rollout may bring.
	Groups, Surge int64
	size          int64
	ask           Ask
}

// Of are the members of an object, none where its kind has no groups.
func (g *Groups) Of(object any) Members {
	if g == nil {
		return Members{}
	}
	out := Members{Groups: g.Replicas.Evaluate(object), size: g.Size.Of.Evaluate(object), ask: Kind{Counts: []Count{g.Size}}.Ask(object)}
	switch v := expression.Path(strings.Split(g.Surge, ".")).Of(object).(type) {
	case int64:
		out.Surge = v
	case string:
		surge := intstr.Parse(v)
		extra, err := intstr.GetScaledValueFromIntOrPercent(&surge, int(out.Groups), true)
		if err == nil {
			out.Surge = int64(extra)
		}
	}
	out.Surge = min(max(out.Surge, 0), out.Groups)
	return out
}

// Bound is the most that the object of a group may ask for during a rollout.
func (m Members) Bound(ordinal int64) int64 {
	if ordinal >= quantity.Add(m.Groups, m.Surge) {
		return 0
	}
	return max(m.size-1, 0)
}

// Claims are the claim sources that the pods name.
func (m Members) Claims() []ClaimRef { return m.ask.Claims() }

// Counts says whether these amounts of a group are among what the object itself counts for. The pods are alike, so
// that those behind the leading one are the size less one.
func (m Members) Counts(ordinal int64, amounts Amounts, claims Claims) bool {
	share := m.ask.With(claims).At(m.size, m.Bound(ordinal))
	return ordinal < m.Groups && amounts.Most(share) == share
}
