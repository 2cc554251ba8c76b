package invariant

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClaimKind is the kind of Karpenter's NodeClaims, which are known by their metadata alone.
const ClaimKind = "NodeClaim"

// poolLabel names the NodePool of a NodeClaim.
const poolLabel = "karpenter.sh/nodepool"

// Claims holds a NodePool to its highest number of nodes. While no webhook answers, NodeClaims are let
// through (failurePolicy Ignore), so that the audit log has to say which were reviewed: of these there
// are never more. Each NodeClaim is asked for once, by a request whose ID ends in its name.
type Claims struct {
	name
	pool   string
	most   int
	stands map[string]bool
	// above are the moments at which one more made too many.
	above []claimed
}

// claimed is one such moment, and all NodeClaims that stood then.
type claimed struct {
	change Change
	names  []string
}

// MaxNodes is Claims of a NodePool.
func MaxNodes(pool string, most int) *Claims {
	return &Claims{name: "max-nodes", pool: pool, most: most, stands: map[string]bool{}}
}

// See takes a NodeClaim. One that is being deleted does not count.
func (n *Claims) See(c Change) []Violation {
	claim, ok := now[*metav1.PartialObjectMetadata](c)
	if !ok || claim.DeletionTimestamp != nil {
		if old, had := was[*metav1.PartialObjectMetadata](c); had {
			delete(n.stands, old.Name)
		}
		return nil
	}
	if claim.Kind != ClaimKind || claim.Labels[poolLabel] != n.pool || n.stands[claim.Name] {
		return nil
	}
	n.stands[claim.Name] = true
	if len(n.stands) > n.most {
		n.above = append(n.above, claimed{c, slices.Sorted(maps.Keys(n.stands))})
	}
	return nil
}

// Passed is how often one NodeClaim more made too many, reviewed or not.
func (n *Claims) Passed() int { return len(n.above) }

// Exceeded finds the moments at which more NodeClaims stood than may, without those that failed open and
// those of which an API server that was killed has left no word.
func (n *Claims) Exceeded(requests []Request, prefix string) []Violation {
	reviewed := map[string]bool{}
	for _, r := range requests {
		if id, ok := strings.CutPrefix(r.ID, prefix); ok && !r.FailedOpen() {
			reviewed[id] = true
		}
	}
	var found []Violation
	for _, moment := range n.above {
		names := slices.DeleteFunc(slices.Clone(moment.names), func(id string) bool { return !reviewed[id] })
		if len(names) > n.most {
			found = append(found, n.violated(moment.change, "NodePool %s has %d NodeClaims that were reviewed, at most %d allowed: %s", n.pool, len(names), n.most, strings.Join(names, ", "))...)
		}
	}
	return found
}
