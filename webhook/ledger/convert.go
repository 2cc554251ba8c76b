package ledger

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
	"forewarm.dev/webhook/total"
)

// Holder is what carries the annotations of a ledger.
type Holder struct {
	// Kind is one of the constants below.
	Kind string
	// Name is empty for the cluster.
	Name string
}

// Kinds of holders.
const (
	Namespace = "Namespace"
	NodePool  = "NodePool"
	// Cluster is the Namespace kube-system as far as it bounds all nodes.
	Cluster = "Cluster"
)

// ledger is the name of the holder's ledger.
func (h Holder) ledger() string {
	switch h.Kind {
	case Namespace:
		return "namespace." + h.Name
	case NodePool:
		return "nodepool." + h.Name
	default:
		return "cluster"
	}
}

// holderOf is the holder of a ledger.
func holderOf(ledger string) Holder {
	if name, is := strings.CutPrefix(ledger, "namespace."); is {
		return Holder{Namespace, name}
	}
	if name, is := strings.CutPrefix(ledger, "nodepool."); is {
		return Holder{NodePool, name}
	}
	return Holder{Kind: Cluster}
}

// counts says whether objects of a kind count for the holder.
func (h Holder) counts(k webhook.Kind) bool {
	if h.Kind == Namespace {
		return k.Counted()
	}
	return k.Resource == webhook.NodeClaims.Resource
}

// namespace is where the objects are that count for the holder, empty for all.
func (h Holder) namespace() string {
	if h.Kind == Namespace {
		return h.Name
	}
	return ""
}

// index finds the objects that count for the holder.
func (h Holder) index() (index, value string) {
	if h.Kind == NodePool {
		return byPool, h.Name
	}
	return byNamespace, h.namespace()
}

// String is for messages.
func (h Holder) String() string {
	if h.Kind == Cluster {
		return "the cluster"
	}
	return h.Kind + " " + h.Name
}

func fromAPI(o *v1alpha1.Ledger) total.Ledger {
	l := total.Ledger{
		Version: o.ResourceVersion, Complete: o.Data.Complete, Standing: webhook.Amounts(o.Data.Standing), UpTo: o.Data.UpTo,
		Entries: make(map[total.Key]total.Entry, len(o.Data.Entries)),
	}
	for _, e := range o.Data.Entries {
		l.Entries[total.Key(e.Object)] = total.Entry{
			Amounts: webhook.Amounts(e.LedgerAmounts), Standing: webhook.Amounts(e.Standing),
			Coming: total.Coming(e.Coming), Version: e.Version, LetIn: e.LetIn.Time,
		}
	}
	return l
}

// toAPI writes a ledger into an object.
func toAPI(l total.Ledger, into *v1alpha1.LedgerData) {
	into.Complete, into.Standing, into.UpTo = l.Complete, v1alpha1.LedgerAmounts(l.Standing), l.UpTo
	into.Entries = make([]v1alpha1.LedgerEntry, 0, len(l.Entries))
	for key, e := range l.Entries {
		into.Entries = append(into.Entries, v1alpha1.LedgerEntry{
			Object: string(key), LedgerAmounts: v1alpha1.LedgerAmounts(e.Amounts), Standing: v1alpha1.LedgerAmounts(e.Standing),
			Coming: string(e.Coming), Version: e.Version, LetIn: metav1.MicroTime{Time: e.LetIn},
		})
	}
	slices.SortFunc(into.Entries, func(a, b v1alpha1.LedgerEntry) int { return cmp.Compare(a.Object, b.Object) })
}
