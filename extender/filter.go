package extender

// opinion is what a rule thinks of a node.
type opinion int

const (
	none opinion = iota
	pass
	refuse
)

// rule looks at one node for a pod. Only a refusal carries a verdict.
type rule func(pod *Pod, node *Node, held []Held) (opinion, Verdict)

// rules in their order: the first that has an opinion decides, and what none has an opinion
// about passes.
var rules = []rule{
	exempt,    // DaemonSets and the system run everywhere
	nominated, // room that was made for the pod is its own
	cleared,   // room that was made for a pod ahead is no placeholder's
	guard,     // what is kept warm for others is not taken
}

// Filter answers for each node, in the order given.
func Filter(pod *Pod, nodes []*Node, held []Held) []Verdict {
	verdicts := make([]Verdict, len(nodes))
	for i, node := range nodes {
		verdicts[i] = judge(pod, node, held)
	}
	return verdicts
}

func judge(pod *Pod, node *Node, held []Held) Verdict {
	for _, rule := range rules {
		switch o, verdict := rule(pod, node, held); o {
		case pass:
			return Verdict{}
		case refuse:
			return verdict
		case none:
		}
	}
	return Verdict{}
}
