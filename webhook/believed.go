package webhook

import "strings"

// ByControlPlane is CEL for: it is the control plane that writes, of which no tenant is a part. A ServiceAccount
// of another Namespace may be a tenant's.
const ByControlPlane = `(request.userInfo.username.startsWith('system:serviceaccount:kube-system:')` +
	` || request.userInfo.username.startsWith('system:') && !request.userInfo.username.startsWith('system:serviceaccount:'))`

// Believed is CEL for: what is written is controlled by an object of one of these kinds, and it is the control
// plane that says so, or a ServiceAccount that may change the finalizers of that object, as operators may and no
// role of tenants lets. Whoever writes an object may write any owner into it. What is asked of the API server's
// authorizer stands last: few writes come to it.
func Believed(kinds []Kind) string {
	resources, groups := make([]string, 0, len(kinds)), ""
	for _, k := range kinds {
		resources = append(resources, `'`+k.Group+`/`+k.Name+`': '`+k.Resource+`'`)
		if k.Groups != nil {
			groups = ` || ` + leads + ` && (` + ByControlPlane + ` || ` + operates(`'`+k.Group+`'`, `'`+k.Resource+`'`, `o.name.substring(0, o.name.lastIndexOf('-'))`) + `)`
		}
	}
	const reference = `o.?apiVersion.orValue('').split('/')[0] + '/' + o.?kind.orValue('')`
	return `(has(object.metadata) && has(object.metadata.ownerReferences) && request.userInfo.username.startsWith('system:')` +
		` && object.metadata.ownerReferences.exists(o, o.?controller.orValue(false)` +
		` && ([{` + strings.Join(resources, ", ") + `}].exists(resources, (` + reference + `) in resources && (` + ByControlPlane +
		` || ` + operates(`o.?apiVersion.orValue('').split('/')[0]`, `resources[`+reference+`]`, `o.?name.orValue('')`) + `))` + groups + `)))`
}

// leads is CEL for [Leader]: the controller is the pod that leads the group which the object is.
const leads = `o.?apiVersion.orValue('') == 'v1' && o.?kind.orValue('') == 'Pod' && has(o.name) && has(object.metadata.name)` +
	` && o.name == object.metadata.name && o.name.matches('^.+-(0|[1-9][0-9]{0,9})$')`

// operates is CEL for: the writer may change the finalizers of an object in the Namespace of what is written.
func operates(group, resource, name string) string {
	return `authorizer.group(` + group + `).resource(` + resource + `).subresource('finalizers').namespace(request.?namespace.orValue('')).name(` + name + `).check('update').allowed()`
}
