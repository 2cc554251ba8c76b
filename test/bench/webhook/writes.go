package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"forewarm.dev/api/v1alpha1"
	"forewarm.dev/test/cluster"
)

const (
	namespace = "bench"
	workload  = "web"
	// replicas are there, and one more is asked for; both ceilings allow it. tooMany is above.
	replicas, ownCeiling, namespaceCeiling, tooMany = 3, 50, 1000, 2000
)

// writeName tells the writes apart.
type writeName string

const (
	// update of a Deployment that grows.
	update writeName = "update"
	// scale of that Deployment, which grows it too.
	scale writeName = "scale"
	// pod is the creation of a pod that asks for a GPU.
	pod writeName = "pod"
	// edit is an update of a Deployment that grows nothing, as most are.
	edit writeName = "edit"
)

// write is a request to the API server, as a dry run where nothing is to be stored: that takes
// etcd out.
type write struct {
	name                            writeName
	method, path, contentType, body string
	rule                            admissionregistrationv1.RuleWithOperations
	stored                          bool
}

const (
	mergePatch     = "application/merge-patch+json"
	deploymentPath = "/apis/apps/v1/namespaces/" + namespace + "/deployments/" + workload
	podsPath       = "/api/v1/namespaces/" + namespace + "/pods"
)

var writes = []write{
	{update, http.MethodPatch, deploymentPath, mergePatch, grow(replicas + 1), rule("apps", "deployments", admissionregistrationv1.Update), false},
	{scale, http.MethodPatch, deploymentPath + "/scale", mergePatch, grow(replicas + 1), rule("apps", "deployments/scale", admissionregistrationv1.Update), false},
	{pod, http.MethodPost, podsPath, "application/json", gpuPod(), rule("", "pods", admissionregistrationv1.Create), false},
}

// edited is kept from the webhook by its match conditions, so nothing is recorded of it.
var edited = write{
	name: edit, method: http.MethodPatch, path: deploymentPath, contentType: mergePatch,
	body: `{"spec":{"template":{"metadata":{"annotations":{"example.com/release":"1.27.4"}}}}}`,
	rule: rule("apps", "deployments", admissionregistrationv1.Update),
}

func grow(n int) string { return fmt.Sprintf(`{"spec":{"replicas":%d}}`, n) }

// write sends one request to the API server and fails unless it succeeds.
func (b *bench) write(ctx context.Context, w write) error {
	status, answer, err := b.send(ctx, w)
	if err == nil && status != http.StatusOK && status != http.StatusCreated {
		err = fmt.Errorf("%s: the API server answers %d: %s", w.name, status, answer)
	}
	return err
}

func (b *bench) send(ctx context.Context, w write) (status int, answer []byte, err error) {
	url := b.apiURL + w.path
	if !w.stored {
		url += "?dryRun=All"
	}
	request, err := http.NewRequestWithContext(ctx, w.method, url, bytes.NewReader([]byte(w.body)))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Content-Type", w.contentType)
	request.Header.Set("Accept", "application/json")
	response, err := b.api.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// deployment is of a usual size: a container with probes, environment and volumes.
func deployment() *appsv1.Deployment {
	labels := map[string]string{"app.kubernetes.io/name": workload, "app.kubernetes.io/part-of": "shop", "app.kubernetes.io/version": "1.27.3"}
	main := container("main", 8080)
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9090"}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{main},
			Volumes: []corev1.Volume{
				{Name: "settings", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "web-settings"}}}},
				{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			},
		},
	}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: workload, Labels: labels, Annotations: map[string]string{v1alpha1.AnnotationMaxReplicas: fmt.Sprint(ownCeiling)}},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](replicas), Template: template,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/name": workload}},
		},
	}
}

func container(name string, port int32) corev1.Container {
	probe := &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(port)}},
		PeriodSeconds: 5, TimeoutSeconds: 2, FailureThreshold: 6,
	}
	c := corev1.Container{
		Name: name, Image: "registry.example.com/shop/" + name + ":1.27.3", Args: []string{"--listen", fmt.Sprint(port), "--log-format", "json"},
		Ports:     []corev1.ContainerPort{{Name: "http", ContainerPort: port}},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m"), corev1.ResourceMemory: resource.MustParse("512Mi")}},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "settings", MountPath: "/etc/shop", ReadOnly: true}, {Name: "scratch", MountPath: "/var/cache/shop"},
		},
		LivenessProbe: probe, ReadinessProbe: probe,
	}
	for i := range 10 {
		c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SHOP_SETTING_%02d", i), Value: fmt.Sprintf("https://backend-%02d.shop.svc", i)})
	}
	return c
}

// gpuPod is a pod of a usual size that asks for a GPU.
func gpuPod() string {
	main := container("main", 8080)
	main.Resources.Limits = corev1.ResourceList{cluster.GPU: resource.MustParse("1")}
	template := deployment().Spec.Template
	template.Spec.Containers[0] = main
	body, err := json.Marshal(corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{GenerateName: workload + "-", Namespace: namespace, Labels: template.Labels, Annotations: template.Annotations},
		Spec:       template.Spec,
	})
	if err != nil {
		panic(err) // a constant
	}
	return string(body)
}
