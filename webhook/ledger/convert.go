package ledger

import (
	"cmp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/webhook"
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

// String is for messages.
func (h Holder) String() string {
	if h.Kind == Cluster {
		return "the cluster"
	}
	return h.Kind + " " + h.Name
}

func fromAPI(o *v1alpha1.Ledger) webhook.Ledger {
	l := webhook.Ledger{Version: o.ResourceVersion, Complete: o.Data.Complete, Entries: make(map[webhook.Key]webhook.Entry, len(o.Data.Entries))}
	for _, e := range o.Data.Entries {
		entry := webhook.Entry{
			Amounts: webhook.Amounts{Replicas: e.Replicas, GPUs: e.GPUs, Nodes: e.Nodes},
			Coming:  webhook.Coming(e.Coming), Version: e.Version,
		}
		if e.LetIn != nil {
			entry.LetIn = e.LetIn.Time
		}
		l.Entries[webhook.Key(e.Object)] = entry
	}
	return l
}

func toAPI(l webhook.Ledger) []v1alpha1.LedgerEntry {
	out := make([]v1alpha1.LedgerEntry, 0, len(l.Entries))
	for key, e := range l.Entries {
		entry := v1alpha1.LedgerEntry{
			Object: string(key), Replicas: e.Replicas, GPUs: e.GPUs, Nodes: e.Nodes,
			Coming: string(e.Coming), Version: e.Version,
		}
		if !e.LetIn.IsZero() {
			entry.LetIn = &metav1.MicroTime{Time: e.LetIn}
		}
		out = append(out, entry)
	}
	slices.SortFunc(out, func(a, b v1alpha1.LedgerEntry) int { return cmp.Compare(a.Object, b.Object) })
	return out
}
