package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"forewarm.dev/webhook"
)

// autoscaler looks for a Cluster Autoscaler that may buy more nodes than kube-system allows. It asks
// a cloud for them, so that no admission sees it, and its own arguments are all that holds it.
func autoscaler(f Facts) []Finding {
	most, err := webhook.ParseCeiling(f.System.Annotations[webhook.MaxNodes])
	if err != nil { // not set, too
		return nil
	}
	var all []Finding
	for i := range f.SystemDeployments {
		d := &f.SystemDeployments[i]
		for _, c := range d.Spec.Template.Spec.Containers {
			if strings.Contains(c.Image, "cluster-autoscaler") {
				all = append(all, tooMany(fmt.Sprintf("Deployment %s/%s", metav1.NamespaceSystem, d.Name), c, most)...)
			}
		}
	}
	return all
}

// tooMany judges the arguments of one container.
func tooMany(where string, c corev1.Container, most int64) []Finding {
	var all []Finding
	bounded := false
	for _, argument := range slices.Concat(c.Command, c.Args) {
		if text, is := strings.CutPrefix(argument, "--max-nodes-total="); is {
			total, err := strconv.ParseInt(text, 10, 64)
			bounded = err == nil && total > 0 && total <= most
		}
		group, is := strings.CutPrefix(argument, "--nodes=")
		parts := strings.SplitN(group, ":", 3)
		if !is || len(parts) < 3 {
			continue
		}
		if size, err := strconv.ParseInt(parts[1], 10, 64); err == nil && size > most {
			all = append(all, Finding{Doubtful, where + ", --nodes", fmt.Sprintf("lets group %s grow to %d nodes, annotation %s on Namespace kube-system allows %d", parts[2], size, webhook.MaxNodes, most), fmt.Sprintf("write --nodes=%s:%d:%s", parts[0], most, parts[2])})
		}
	}
	if !bounded {
		all = append(all, Finding{Doubtful, where + ", --max-nodes-total", fmt.Sprintf("is more than the %d nodes that annotation %s on Namespace kube-system allows, or not set", most, webhook.MaxNodes), fmt.Sprintf("write --max-nodes-total=%d: what Cluster Autoscaler asks a cloud for passes no admission", most)})
	}
	return all
}
