package supply

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/capacity"
	"forewarm.dev/capacity/placeholder"
)

// wordHolds is how long a word counts. Autoscalers try again every few seconds, and say so again at least every five
// minutes.
const wordHolds = 10 * time.Minute

// Mark notes on each chunk of a pool whether autoscalers refuse nodes for it: where the newest word on those of its
// placeholders that wait is that none comes. One that waits for a certain zone says nothing of the others.
func (s Said) Mark(pool *v1alpha1.WarmPool, placeholders []*corev1.Pod, now time.Time, state *capacity.State) {
	newest := map[string]word{}
	for _, pod := range placeholders {
		said, ok := s.words[pod.UID]
		if !ok || now.Sub(said.at) > wordHolds || !waits(pool, pod) {
			continue
		}
		chunk := pod.Labels[v1alpha1.LabelChunk]
		last, known := newest[chunk]
		if !known || said.at.After(last.at) || said.at.Equal(last.at) && said.refuses { // for others of them it brings one
			newest[chunk] = said
		}
	}
	for i := range pool.Spec.Chunks {
		state.Chunks[i].Refused = newest[pool.Spec.Chunks[i].Name].refuses
	}
}

// waits tells whether a placeholder waits for any node of its pool.
func waits(pool *v1alpha1.WarmPool, pod *corev1.Pod) bool {
	return pod.Spec.NodeName == "" && placeholder.StageOf(pod) == capacity.Pending && placeholder.Zone(pool, pod) == ""
}
