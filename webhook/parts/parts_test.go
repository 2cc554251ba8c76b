package parts

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/json"

	"forewarm.dev/webhook"
)

func TestReview(t *testing.T) {
	const head = `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":`
	cases := map[string]struct {
		body        string
		object, old string
		wantErr     bool
	}{
		"as the API server writes it": {head + `{"uid":"u","object":{"a":"}\"]"},"oldObject":null,"dryRun":true,"options":{"b":1}}}`, `{"a":"}\"]"}`, "", false},
		"spread out":                  {"\n" + head + "\t{ \"object\" : { \"a\" : [ 1 , {} ] } ,\n\"uid\":\"u\", \"oldObject\" : 1.5e3 }\r\n} ", `{ "a" : [ 1 , {} ] }`, "1.5e3", false},
		"escaped names":               {head + `{"\u0075id":"u","\u006fbject":{"a":1}}}`, `{"a":1}`, "", false},
		"ends in a string":            {head + `{"uid":"u","object":{"a":"b\"}}}`, "", "", true},
		"ends in an object":           {head + `{"uid":"u","object":{"a":{}`, "", "", true},
		"goes on":                     {head + `{"uid":"u"}}}`, "", "", true},
		"no colon":                    {head + `{"uid" "u"}}`, "", "", true},
		"no value":                    {head + `{"uid":}}`, "", "", true},
		"comma at the end":            {head + `{"uid":"u",}}`, "", "", true},
		"a list":                      {`[]`, "", "", true},
		"nothing":                     {``, "", "", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			review, err := Review([]byte(c.body))
			if err != nil || c.wantErr {
				if (err != nil) != c.wantErr {
					t.Errorf("error %v, want one: %t", err, c.wantErr)
				}
				return
			}
			got := []string{string(review.Request.UID), string(review.Request.Object.Raw), string(review.Request.OldObject.Raw)}
			if diff := cmp.Diff([]string{"u", c.object, c.old}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// BenchmarkReview reads what a decision needs of a review of a usual size.
func BenchmarkReview(b *testing.B) {
	object := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"team","uid":"u-1","resourceVersion":"7","annotations":{"forewarm.dev/max-replicas":"50"},"managedFields":[{"manager":"kubectl","fieldsV1":{` +
		strings.Repeat(`"f:spec":{"f:replicas":{},"f:template":{}},`, 40) + `"f:last":{}}}]},"spec":{"replicas":4,"template":{"spec":{"containers":[{"name":"c","image":"registry.example.com/shop/main:1","env":[` +
		strings.Repeat(`{"name":"SHOP_SETTING","value":"https://backend.shop.svc"},`, 40) + `{"name":"LAST","value":"1"}]}]}}}}`
	body := []byte(`{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"u","operation":"UPDATE","object":` + object + `,"oldObject":` + object + `}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		review, err := Review(body)
		if err != nil {
			b.Fatal(err)
		}
		for _, raw := range [][]byte{review.Request.Object.Raw, review.Request.OldObject.Raw} {
			if o, err := ObjectOf(raw, "object"); err != nil || o.Replicas(1) != 4 {
				b.Fatal(err)
			}
		}
	}
}

// FuzzObject: picking parts out never panics, and never changes what a whole decoding
// would have found.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `null`, `5`, `[]`, `{}`, `{"spec":{"replicas":3}}`, `{"spec":{"Replicas":3},"Spec":{"replicas":4}}`, `{"spec":null,"metadata":[]}`,
		`{"spec":{"replicas":3},"spec":{"replicas":4}}`, `{"sp\u0065c":{"replicas":3}}`, `{"spec":{"repl\u0069cas":3}}`, `{"spec":{"replicas":-0}} x`, `{"a":"\\\"","spec":{"replicas":1}}`,
		`{ "metadata" : { "labels" : { "a" : "}" } , "annotations" : { "forewarm.dev/max-replicas" : "3" } , "ownerReferences" : [ { "controller" : true } ] } }`,
		`{"a":{"b":[{"c":"]"}]},"metadata":{"name":"n","uid":"u","resourceVersion":"7","managedFields":[{"fieldsV1":{"f:spec":{}}}]}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := ObjectOf([]byte(raw), "object")
		var want Object
		if strings.TrimSpace(raw) != "" && json.UnmarshalCaseSensitivePreserveInts([]byte(raw), &want) != nil {
			return
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", raw, err, diff)
		}
		_, _ = Review([]byte(raw))
		_, _ = Review([]byte(`{"request":` + raw))
	})
}

// FuzzPod: what is left out of a pod changes no decision about it.
func FuzzPod(f *testing.F) {
	for _, seed := range []string{
		`{"metadata":{"name":"p","namespace":"team","labels":{"a":"b"},"annotations":{"forewarm.dev/pool":"a100"}},"spec":{"containers":[{"name":"c","image":"i","env":[{"name":"]","value":"}"}],"resources":{"requests":{"nvidia.com/gpu":"2"}}}]}}`,
		`{"metadata":{},"spec":{"initContainers":[{"restartPolicy":"Always","resources":{"requests":{"amd.com/gpu":1}}}],"containers":[ {} , {"resources":{"claims":[{"name":"g"}]}} ],"affinity":{"podAffinity":{},"nodeAffinity":{}},"resourceClaims":[{"name":"g","resourceClaimName":"x"}]}}`,
		`{"metadata":{},"spec":{"nodeSelector":{"a":"b"},"tolerations":[{"operator":"Exists"}],"containers":[],"overhead":{"nvidia.com/gpu":"1"},"priorityClassName":"forewarm-placeholder"}}`,
		`{"metadata":{},"spec":{"contain\u0065rs":[{"resources":{"requests":{"nvidia.com/gpu":"2"}}}],"Containers":[{"resources":{"requests":{"nvidia.com/gpu":"4"}}}]}}`,
		`{"metadata":[],"spec":[[{"containers":[]}]]}`, `{"metadata":{},"spec":{"containers":{"a":[]}}}`, `[{"spec":{}}]`, `null`, `[`, `{"spec":[`, `{"spec":[{},`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := PodOf([]byte(raw))
		var whole struct {
			Metadata *metav1.ObjectMeta `json:"metadata"`
			Spec     *corev1.PodSpec    `json:"spec"`
		}
		if json.UnmarshalCaseSensitivePreserveInts([]byte(raw), &whole) != nil {
			return
		}
		if whole.Metadata == nil || whole.Spec == nil {
			if err != nil || got != nil {
				t.Errorf("%q: %v, %v; want no pod", raw, got, err)
			}
			return
		}
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		decide := func(pod *corev1.Pod) webhook.Decision {
			return webhook.Pods().Review(webhook.Request{Create: true, Pod: pod, Pools: []webhook.Pool{{
				Name: "a100", Resource: "nvidia.com/gpu", NamespaceSelector: labels.Everything(), PodSelector: labels.SelectorFromSet(labels.Set{"a": "b"}),
				Nodes: []corev1.NodeSelectorRequirement{{Key: "pool"}}, Warm: []webhook.WarmChunk{{}},
			}}})
		}
		want := &corev1.Pod{ObjectMeta: *whole.Metadata, Spec: *whole.Spec}
		if diff := cmp.Diff(decide(want), decide(got)); diff != "" {
			t.Errorf("%q: decision:\n%s", raw, diff)
		}
		if diff := cmp.Diff(webhook.ClaimsOf(want), webhook.ClaimsOf(got)); diff != "" {
			t.Errorf("%q: claims:\n%s", raw, diff)
		}
	})
}
