package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"forewarm.dev/test/cluster"
	"forewarm.dev/test/cluster/assets"
)

// gatekeeper is the arm of the policy engine of that name, with one constraint in Rego: the
// rule that typed has. It is asked by one entry, as the no-op is.
const (
	gatekeeper          = "gatekeeper"
	gatekeeperNamespace = "gatekeeper-system"
	gatekeeperPath      = "/v1/admit"
)

var gatekeeperTemplate = `
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: benchceiling}
spec:
  crd:
    spec:
      names: {kind: BenchCeiling}
      validation:
        openAPIV3Schema:
          type: object
          properties: {max: {type: integer}}
  targets:
  - target: admission.k8s.gatekeeper.sh
    rego: |
      package benchceiling

      own = number { number := to_number(input.review.object.metadata.annotations["forewarm.dev/max-replicas"]) }

      above(n) { n > input.parameters.max }

      above(n) { n > own }

      violation[{"msg": msg}] {
        asked := input.review.object.spec.replicas
        above(asked)
        asked > input.review.oldObject.spec.replicas
        msg := sprintf("%d ` + peerDenial + `", [asked])
      }
`

var gatekeeperConstraint = fmt.Sprintf(`
apiVersion: constraints.gatekeeper.sh/v1beta1
kind: BenchCeiling
metadata: {name: bench}
spec:
  match: {kinds: [{apiGroups: [apps], kinds: [Deployment]}]}
  parameters: {max: %d}
`, namespaceCeiling)

// startGatekeeper runs Gatekeeper's webhook, with a certificate of the bench's.
func (b *bench) startGatekeeper(ctx context.Context) error {
	program, err := b.preparePeer(ctx, assets.Gatekeeper, assets.GatekeeperCRDs, gatekeeperNamespace)
	if err != nil {
		return err
	}
	h, health, err := b.runGatekeeper(ctx, program)
	if err != nil {
		return err
	}
	err = b.applyTexts(ctx, gatekeeperTemplate, gatekeeperConstraint) // it makes the kind of the second by the first
	if err == nil {
		err = b.waitFor(ctx, "Gatekeeper to be ready", func() error { return ready(ctx, "http://"+health+"/readyz") })
	}
	if err != nil {
		return fmt.Errorf("%w; its log says:\n%s", err, b.cluster.LogOf(gatekeeper))
	}
	b.hooks[gatekeeper] = h
	return nil
}

// runGatekeeper starts the process; health is the address of its probes.
func (b *bench) runGatekeeper(ctx context.Context, program string) (h *hook, health string, err error) {
	certificates := filepath.Join(b.cluster.Dir, "gatekeeper-certs")
	if err := os.Mkdir(certificates, 0o700); err != nil {
		return nil, "", err
	}
	for name, from := range map[string]string{"tls.crt": b.identity.certFile, "tls.key": b.identity.keyFile, "ca.crt": b.identity.certFile} {
		if err := os.Symlink(from, filepath.Join(certificates, name)); err != nil {
			return nil, "", err
		}
	}
	var ports [3]int
	for i := range ports {
		if ports[i], err = cluster.FreePort(); err != nil {
			return nil, "", err
		}
	}
	health = fmt.Sprintf("127.0.0.1:%d", ports[2])
	// Its Prometheus exporter would listen on every address; nothing is sent to this one either.
	nowhere := []string{"--metrics-backend=opentelemetry", "--otlp-endpoint=127.0.0.1:1", "--otlp-metric-interval=24h"}
	args := append(nowhere,
		"--debug-use-fake-pod", "--disable-cert-rotation", "--cert-dir="+certificates, "--host=127.0.0.1", fmt.Sprintf("--port=%d", ports[0]),
		"--operation=webhook", "--operation=generate", "--health-addr="+health, fmt.Sprintf("--metrics-addr=127.0.0.1:%d", ports[1]),
		"--log-level=ERROR", "--enable-external-data=false", "--enable-k8s-native-validation=false",
	)
	env := []string{"POD_NAMESPACE=" + gatekeeperNamespace, "POD_NAME=bench", "KUBECONFIG=" + b.cluster.Kubeconfig}
	process, err := b.cluster.StartProcess(ctx, gatekeeper, program, args, env)
	if err != nil {
		return nil, "", err
	}
	return &hook{
		address: fmt.Sprintf("127.0.0.1:%d", ports[0]), url: b.url(ports[0]), pid: process.PID(), reviews: "controller_runtime_webhook_requests_total",
		metricsURL: fmt.Sprintf("http://127.0.0.1:%d/metrics", ports[1]), client: http.DefaultClient,
	}, health, nil
}
