package console

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/extender/handler"
	"forewarm.dev/extender/watch"
	"forewarm.dev/internal/console/live"
)

const (
	// mostPods is how many pending pods are looked at, shownNodes how many nodes a story has.
	mostPods, shownNodes = 500, 20
)

// podsPage are pods that wait.
type podsPage struct {
	// Namespace is the one that is looked at, empty for all.
	Namespace string
	Pods      []waitingPod
	// More is true where there are more than were looked at.
	More bool
	// Unseen says what the visitor may not see.
	Unseen string
}

// waitingPod is a pod that has no node yet.
type waitingPod struct {
	Namespace, Name, Link, Pool string
	Since                       time.Time
	// Expected is when it is expected to start, zero where nobody says.
	Expected time.Time
}

func podPath(namespace, name string) string {
	return "/pods/" + url.PathEscape(namespace) + "/" + url.PathEscape(name)
}

// allPods lists the pods that wait, with the visitor's own rights, or goes to the one that he names.
func (c *Console) allPods(v *visit) (page, error) {
	query := v.request.URL.Query()
	shown := podsPage{Namespace: strings.TrimSpace(query.Get("namespace"))}
	if name := strings.TrimSpace(query.Get("pod")); name != "" {
		return page{to: podPath(cmp.Or(shown.Namespace, "default"), name)}, nil
	}
	own, err := v.own()
	if err != nil {
		return page{}, err
	}
	var list corev1.PodList
	err = own.Client.List(v.request.Context(), &list, client.InNamespace(shown.Namespace), client.MatchingFields{"status.phase": string(corev1.PodPending)}, client.Limit(mostPods))
	switch {
	case apierrors.IsForbidden(err):
		shown.Unseen = "You may not list pods " + cmp.Or(shown.Namespace, "in all namespaces") + ": write a namespace that is yours."
	case err != nil:
		return page{}, err
	}
	for i := range list.Items {
		if pod := &list.Items[i]; pod.Spec.NodeName == "" && pod.Namespace != c.options.PlaceholderNamespace {
			shown.Pods = append(shown.Pods, waitingOf(pod))
		}
	}
	shown.More = list.Continue != ""
	slices.SortFunc(shown.Pods, func(a, b waitingPod) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Link, b.Link)) })
	return page{Title: "Pods that wait", template: "pods", Topics: []string{live.Clock}, Content: shown}, nil
}

func waitingOf(pod *corev1.Pod) waitingPod {
	w := waitingPod{
		Namespace: pod.Namespace, Name: pod.Name, Link: podPath(pod.Namespace, pod.Name), Since: pod.CreationTimestamp.UTC(),
		Pool: cmp.Or(pod.Annotations[v1alpha1.AnnotationWaitingFor], pod.Annotations[v1alpha1.AnnotationPool]),
	}
	if start, err := time.Parse(time.RFC3339, pod.Annotations[v1alpha1.AnnotationExpectedStart]); err == nil {
		w.Expected = start.UTC()
	}
	return w
}

// podPage is a pod's story.
type podPage struct {
	waitingPod
	Node string
	// Asks are the amounts that the extender decides about.
	Asks      []string
	Scheduler []corev1.PodCondition
	// Explained has what the extender thinks of the nodes; nil where the visitor may not see them.
	Explained *handler.PodExplanation
	Nodes     []handler.NodeExplanation
	MoreNodes int
	Events    []happening
	// Unseen says what the visitor may not see.
	Unseen []string
}

// onePod tells why a pod waits, or why it went where it went, with the visitor's own rights.
func (c *Console) onePod(v *visit) (page, error) {
	own, err := v.own()
	if err != nil {
		return page{}, err
	}
	pod := &corev1.Pod{}
	key := client.ObjectKey{Namespace: v.request.PathValue("namespace"), Name: v.request.PathValue("pod")}
	if err := own.Client.Get(v.request.Context(), key, pod); err != nil {
		if apierrors.IsNotFound(err) {
			return page{}, &problem{http.StatusNotFound, "There is no such pod", fmt.Sprintf("Namespace %s has no pod %s, or no more.", key.Namespace, key.Name)}
		}
		return page{}, err
	}
	shown := podPage{waitingPod: waitingOf(pod), Node: pod.Spec.NodeName}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			shown.Scheduler = append(shown.Scheduler, condition)
		}
	}
	if err := c.explainPod(v, own, pod, &shown); err != nil {
		return page{}, err
	}
	shown.Events, err = readEvents(v.request.Context(), own.Client, pod.Namespace,
		client.MatchingFields{"involvedObject.kind": "Pod", "involvedObject.name": pod.Name}, func(e *corev1.Event) bool { return e.InvolvedObject.UID == pod.UID })
	if apierrors.IsForbidden(err) {
		shown.Unseen, err = append(shown.Unseen, "Events: it needs the right to list events in namespace "+pod.Namespace+"."), nil
	}
	return page{Title: "Pod " + key.String(), template: "pod", Topics: []string{live.Clock}, Content: shown}, err
}

// explainPod adds what the extender would say, by the code of forewarmctl explain pod.
func (c *Console) explainPod(v *visit, own Own, pod *corev1.Pod, shown *podPage) error {
	index := handler.NewIndex(c.options.PlaceholderNamespace)
	if err := watch.Read(v.request.Context(), index, own.Client); err != nil {
		if apierrors.IsForbidden(err) {
			shown.Unseen = append(shown.Unseen, "How each node fares: it needs the rights of forewarmctl explain pod; "+err.Error()+".")
			return nil
		}
		return err
	}
	explained := index.Explain(pod)
	shown.Explained = &explained
	shown.Nodes = explained.Nodes[:min(len(explained.Nodes), shownNodes)]
	shown.MoreNodes = len(explained.Nodes) - len(shown.Nodes)
	for _, name := range explained.Requests.Names() {
		if strings.Contains(string(name), "/") {
			shown.Asks = append(shown.Asks, fmt.Sprintf("%d %s", explained.Requests[name], name))
		}
	}
	return nil
}
