package extender

// Open tells whether a pod may take a node and fits there, once those placeholders are gone that have been
// given to others.
func Open(pod *Pod, node *Node, held []Held) bool {
	for name, amount := range pod.Requests {
		if amount > 0 && amount > node.left(name)+node.going(name) {
			return false
		}
	}
	return !judge(pod, node, held).Refuses()
}
