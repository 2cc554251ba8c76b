// Package devices counts what dynamic resource allocation (DRA) gives and takes, beside device plugins.
// It is not safe for concurrent use.
package devices

import (
	"maps"
	"math"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"

	"forewarm.dev/internal/quantity"
)

// driverName finds the driver that a selector of a DeviceClass asks for.
var driverName = regexp.MustCompile(`device\.driver\s*==\s*["']([^"']+)["']`)

// Devices are those that DRA gives and takes, as amounts of resources: of the extended resource
// that a DeviceClass of the driver stands for, so that plugin and claims are one, or else of
// "DRIVER/devices".
type Devices struct {
	classes   map[string]deviceClass
	slices    map[string]sliceEntry
	templates map[types.NamespacedName]map[string]int64 // devices per class
	claims    map[types.NamespacedName]claimEntry
	// on are the slices of each node by name, at the node of each pool of devices, and held how
	// many of a pool claims hold: the claims may be seen before the slices.
	on   map[string]map[string]sliceEntry
	at   map[devicePool]string
	held map[devicePool]int64
}

// devicePool is a driver's pool of devices.
type devicePool struct{ driver, name string }

type deviceClass struct {
	driver   string
	resource corev1.ResourceName // the extended resource it stands for; may be empty
}

// sliceEntry is a ResourceSlice; one of no single node is nobody's.
type sliceEntry struct {
	pool  devicePool
	node  string
	count int64
}

// claimEntry is a ResourceClaim: what it asks for per class, and how many devices it has of which
// pool.
type claimEntry struct {
	asks  map[string]int64
	holds map[devicePool]int64
}

// New knows of no device yet.
func New() *Devices {
	return &Devices{
		classes: map[string]deviceClass{}, slices: map[string]sliceEntry{},
		templates: map[types.NamespacedName]map[string]int64{}, claims: map[types.NamespacedName]claimEntry{},
		on: map[string]map[string]sliceEntry{}, at: map[devicePool]string{}, held: map[devicePool]int64{},
	}
}

// resource is what the devices of a driver are counted as.
func (d *Devices) resource(driver string) corev1.ResourceName {
	name := corev1.ResourceName(driver + "/devices")
	for _, class := range d.classes {
		if class.driver == driver && class.resource != "" && (class.resource < name || name == corev1.ResourceName(driver+"/devices")) {
			name = class.resource
		}
	}
	return name
}

// Requests adds to what a pod asks for the devices of its claims. What is not known adds nothing.
func (d *Devices) Requests(pod *corev1.Pod, v quantity.Vector) quantity.Vector {
	for _, claim := range pod.Spec.ResourceClaims {
		var asks map[string]int64
		switch {
		case claim.ResourceClaimTemplateName != nil:
			asks = d.templates[types.NamespacedName{Namespace: pod.Namespace, Name: *claim.ResourceClaimTemplateName}]
		case claim.ResourceClaimName != nil:
			asks = d.claims[types.NamespacedName{Namespace: pod.Namespace, Name: *claim.ResourceClaimName}].asks
		}
		for class, count := range asks {
			d.add(v, class, count)
		}
	}
	return d.Counted(v)
}

// Counted counts devices that a pod asks for by the implicit name of a DeviceClass as what they are
// counted as otherwise, and under no second name. It changes v.
func (d *Devices) Counted(v quantity.Vector) quantity.Vector {
	for name, count := range v {
		if as := d.CountedAs(name); as != name {
			delete(v, name)
			v[as] += count
		}
	}
	return v
}

// Implicit tells whether a pod asks for devices by the implicit name of a DeviceClass.
func Implicit(v quantity.Vector) bool {
	for name := range v {
		if strings.HasPrefix(string(name), resourcev1.ResourceDeviceClassPrefix) {
			return true
		}
	}
	return false
}

// CountedAs is what a resource is counted as: itself, unless it is the implicit name of a DeviceClass
// that is known.
func (d *Devices) CountedAs(name corev1.ResourceName) corev1.ResourceName {
	if class, is := strings.CutPrefix(string(name), resourcev1.ResourceDeviceClassPrefix); is {
		if c, known := d.classes[class]; known {
			return d.resource(c.driver)
		}
	}
	return name
}

// add counts devices of a class as what they are counted as.
func (d *Devices) add(v quantity.Vector, class string, count int64) {
	if c, known := d.classes[class]; known {
		v[d.resource(c.driver)] += count
	}
}

// asked is how many devices per class requests ask for. Of alternatives the first counts, which
// is what the scheduler tries first; all devices of a node are more than can be counted.
func asked(requests []resourcev1.DeviceRequest) map[string]int64 {
	counts := map[string]int64{}
	for _, r := range requests {
		switch {
		case r.Exactly != nil && (r.Exactly.AdminAccess == nil || !*r.Exactly.AdminAccess):
			counts[r.Exactly.DeviceClassName] += countOf(r.Exactly.AllocationMode, r.Exactly.Count)
		case len(r.FirstAvailable) > 0:
			first := r.FirstAvailable[0]
			counts[first.DeviceClassName] += countOf(first.AllocationMode, first.Count)
		}
	}
	return counts
}

// allDevices stands for every device of a node, as ResourceQuota counts it.
const allDevices = resourcev1.AllocationResultsMaxSize

func countOf(mode resourcev1.DeviceAllocationMode, count int64) int64 {
	if mode == resourcev1.DeviceAllocationModeAll {
		return allDevices
	}
	return min(max(count, 1), math.MaxInt32)
}

// SetClass adds or changes a DeviceClass: what any node offers may be another.
func (d *Devices) SetClass(class *resourcev1.DeviceClass) {
	entry := deviceClass{}
	for _, s := range class.Spec.Selectors {
		if s.CEL == nil {
			continue
		}
		if found := driverName.FindStringSubmatch(s.CEL.Expression); found != nil {
			entry.driver = found[1]
		}
	}
	if class.Spec.ExtendedResourceName != nil {
		entry.resource = corev1.ResourceName(*class.Spec.ExtendedResourceName)
	}
	d.classes[class.Name] = entry
}

// DropClass removes a DeviceClass: what any node offers may be another.
func (d *Devices) DropClass(class *resourcev1.DeviceClass) { delete(d.classes, class.Name) }

// SetSlice adds or changes a ResourceSlice, and returns the nodes that may offer something else then.
func (d *Devices) SetSlice(slice *resourcev1.ResourceSlice) []string {
	entry := sliceEntry{pool: devicePool{slice.Spec.Driver, slice.Spec.Pool.Name}, count: int64(len(slice.Spec.Devices))}
	if slice.Spec.NodeName != nil {
		entry.node = *slice.Spec.NodeName
	}
	return []string{d.setSlice(slice.Name, entry), entry.node}
}

// DropSlice removes a ResourceSlice, and returns the nodes that may offer something else then.
func (d *Devices) DropSlice(slice *resourcev1.ResourceSlice) []string {
	return []string{d.setSlice(slice.Name, sliceEntry{})}
}

// setSlice puts a slice in the place of the one before, and returns that one's node. One without a
// node is forgotten.
func (d *Devices) setSlice(name string, entry sliceEntry) (before string) {
	if old, had := d.slices[name]; had {
		before = old.node
		delete(d.slices, name)
		delete(d.on[old.node], name)
		if len(d.on[old.node]) == 0 {
			delete(d.on, old.node)
		}
		delete(d.at, old.pool)
		for _, other := range d.on[old.node] { // a pool may have several slices
			d.at[other.pool] = old.node
		}
	}
	if entry.node == "" {
		return before
	}
	d.slices[name] = entry
	if d.on[entry.node] == nil {
		d.on[entry.node] = map[string]sliceEntry{}
	}
	d.on[entry.node][name], d.at[entry.pool] = entry, entry.node
	return before
}

// SetTemplate adds or changes a ResourceClaimTemplate.
func (d *Devices) SetTemplate(template *resourcev1.ResourceClaimTemplate) {
	d.templates[nameOf(template)] = asked(template.Spec.Spec.Devices.Requests)
}

// DropTemplate removes a ResourceClaimTemplate.
func (d *Devices) DropTemplate(template *resourcev1.ResourceClaimTemplate) {
	delete(d.templates, nameOf(template))
}

// SetClaim adds or changes a ResourceClaim, and returns the nodes that may offer something else then.
// What the scheduler made for extended resources is counted by the pod's own requests already.
func (d *Devices) SetClaim(claim *resourcev1.ResourceClaim) []string {
	entry := claimEntry{asks: asked(claim.Spec.Devices.Requests)}
	if claim.Status.Allocation != nil && claim.Annotations[resourcev1.ExtendedResourceClaimAnnotation] == "" {
		entry.holds = allocated(claim.Status.Allocation.Devices.Results)
	}
	nodes := d.DropClaim(claim)
	d.claims[nameOf(claim)] = entry
	return append(nodes, d.hold(entry, 1)...)
}

// DropClaim removes a ResourceClaim, and returns the nodes that may offer something else then.
func (d *Devices) DropClaim(claim *resourcev1.ResourceClaim) []string {
	entry := d.claims[nameOf(claim)]
	delete(d.claims, nameOf(claim))
	return d.hold(entry, -1)
}

// hold adds n times what a claim has to what is held of its pools, and returns their nodes.
func (d *Devices) hold(entry claimEntry, n int64) (nodes []string) {
	for pool, devices := range entry.holds {
		if d.held[pool] += n * devices; d.held[pool] == 0 {
			delete(d.held, pool)
		}
		nodes = append(nodes, d.at[pool])
	}
	return nodes
}

// Offers works out what a node offers: what it says itself, and of the devices that claims do not
// hold those that it does not count itself. So what claims hold is free for nobody.
func (d *Devices) Offers(node string, itself quantity.Vector) quantity.Vector {
	slices := d.on[node]
	if len(slices) == 0 {
		return itself
	}
	all, held := quantity.Vector{}, map[devicePool]int64{}
	for _, slice := range slices {
		all[d.resource(slice.pool.driver)] += slice.count
		held[slice.pool] = d.held[slice.pool]
	}
	for pool, devices := range held {
		all[d.resource(pool.driver)] -= devices
	}
	offers := maps.Clone(itself)
	for name, amount := range all {
		if offers[name] == 0 {
			if offers == nil {
				offers = quantity.Vector{}
			}
			offers[name] = max(amount, 0)
		}
	}
	return offers
}

// allocated is how many devices of each pool results hold.
func allocated(results []resourcev1.DeviceRequestAllocationResult) map[devicePool]int64 {
	held := map[devicePool]int64{}
	for _, r := range results {
		if r.AdminAccess == nil || !*r.AdminAccess {
			held[devicePool{r.Driver, r.Pool}]++
		}
	}
	return held
}

func nameOf(o interface {
	GetNamespace() string
	GetName() string
},
) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}
