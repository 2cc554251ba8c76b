package handler

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

// devices is what dynamic resource allocation (DRA) gives and takes, as amounts of resources: of
// the extended resource that a DeviceClass of the driver stands for, so that plugin and claims
// are one, or else of "DRIVER/devices".
type devices struct {
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

func newDevices() devices {
	return devices{
		classes: map[string]deviceClass{}, slices: map[string]sliceEntry{},
		templates: map[types.NamespacedName]map[string]int64{}, claims: map[types.NamespacedName]claimEntry{},
		on: map[string]map[string]sliceEntry{}, at: map[devicePool]string{}, held: map[devicePool]int64{},
	}
}

// resource is what the devices of a driver are counted as.
func (d *devices) resource(driver string) corev1.ResourceName {
	name := corev1.ResourceName(driver + "/devices")
	for _, class := range d.classes {
		if class.driver == driver && class.resource != "" && (class.resource < name || name == corev1.ResourceName(driver+"/devices")) {
			name = class.resource
		}
	}
	return name
}

// requests adds to what a pod asks for the devices of its claims. What is not known adds nothing.
func (d *devices) requests(pod *corev1.Pod, v quantity.Vector) quantity.Vector {
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
	for name, count := range v {
		if class, is := strings.CutPrefix(string(name), resourcev1.ResourceDeviceClassPrefix); is {
			d.add(v, class, count)
		}
	}
	return v
}

// add counts devices of a class as what they are counted as.
func (d *devices) add(v quantity.Vector, class string, count int64) {
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

// SetDeviceClass adds or changes a DeviceClass.
func (x *Index) SetDeviceClass(class *resourcev1.DeviceClass) {
	x.mu.Lock()
	defer x.mu.Unlock()
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
	x.devices.classes[class.Name] = entry
	x.offerAll()
}

// DropDeviceClass removes a DeviceClass.
func (x *Index) DropDeviceClass(class *resourcev1.DeviceClass) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.devices.classes, class.Name)
	x.offerAll()
}

// SetSlice adds or changes a ResourceSlice.
func (x *Index) SetSlice(slice *resourcev1.ResourceSlice) {
	x.mu.Lock()
	defer x.mu.Unlock()
	entry := sliceEntry{pool: devicePool{slice.Spec.Driver, slice.Spec.Pool.Name}, count: int64(len(slice.Spec.Devices))}
	if slice.Spec.NodeName != nil {
		entry.node = *slice.Spec.NodeName
	}
	before := x.devices.setSlice(slice.Name, entry)
	x.offerOn(before, entry.node)
}

// DropSlice removes a ResourceSlice.
func (x *Index) DropSlice(slice *resourcev1.ResourceSlice) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.devices.setSlice(slice.Name, sliceEntry{})
	x.offerOn(before)
}

// setSlice puts a slice in the place of the one before, and returns that one's node. One without a
// node is forgotten.
func (d *devices) setSlice(name string, entry sliceEntry) (before string) {
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
func (x *Index) SetTemplate(template *resourcev1.ResourceClaimTemplate) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.devices.templates[keyOf(template)] = asked(template.Spec.Spec.Devices.Requests)
}

// DropTemplate removes a ResourceClaimTemplate.
func (x *Index) DropTemplate(template *resourcev1.ResourceClaimTemplate) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.devices.templates, keyOf(template))
}

// SetClaim adds or changes a ResourceClaim. What the scheduler made for extended resources is
// counted by the pod's own requests already.
func (x *Index) SetClaim(claim *resourcev1.ResourceClaim) {
	x.mu.Lock()
	defer x.mu.Unlock()
	entry := claimEntry{asks: asked(claim.Spec.Devices.Requests)}
	if claim.Status.Allocation != nil && claim.Annotations[resourcev1.ExtendedResourceClaimAnnotation] == "" {
		entry.holds = allocated(claim.Status.Allocation.Devices.Results)
	}
	x.dropClaim(keyOf(claim))
	x.devices.claims[keyOf(claim)] = entry
	x.holdDevices(entry, 1)
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

// DropClaim removes a ResourceClaim.
func (x *Index) DropClaim(claim *resourcev1.ResourceClaim) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dropClaim(keyOf(claim))
}

func (x *Index) dropClaim(key types.NamespacedName) {
	entry := x.devices.claims[key]
	delete(x.devices.claims, key)
	x.holdDevices(entry, -1)
}

// holdDevices adds n times what a claim has to what is held of its pools.
func (x *Index) holdDevices(entry claimEntry, n int64) {
	for pool, devices := range entry.holds {
		if x.devices.held[pool] += n * devices; x.devices.held[pool] == 0 {
			delete(x.devices.held, pool)
		}
		x.offerOn(x.devices.at[pool])
	}
}

func keyOf(o interface {
	GetNamespace() string
	GetName() string
},
) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

func (x *Index) offerAll() {
	for _, e := range x.nodes {
		x.offer(e)
	}
}

func (x *Index) offerOn(names ...string) {
	for _, name := range names {
		if e := x.nodes[name]; e != nil {
			x.offer(e)
		}
	}
}

// offer works out what a node offers: what it says itself, and of the devices that claims do not
// hold those that it does not count itself. So what claims hold is free for nobody.
func (x *Index) offer(e *nodeEntry) {
	slices := x.devices.on[e.Name]
	if len(slices) == 0 {
		e.Allocatable = e.offered
		return
	}
	all, held := quantity.Vector{}, map[devicePool]int64{}
	for _, slice := range slices {
		all[x.devices.resource(slice.pool.driver)] += slice.count
		held[slice.pool] = x.devices.held[slice.pool]
	}
	for pool, devices := range held {
		all[x.devices.resource(pool.driver)] -= devices
	}
	offers := maps.Clone(e.offered)
	for name, amount := range all {
		if offers[name] == 0 {
			if offers == nil {
				offers = quantity.Vector{}
			}
			offers[name] = max(amount, 0)
		}
	}
	e.Allocatable = offers
}
