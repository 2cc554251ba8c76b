package webhook

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"forewarm.dev/webhook/expression"
)

// AnyInstance stands for every instance type: what an object gets that names none.
const AnyInstance = "*"

// Labels of nodes by which instance types are chosen.
const (
	InstanceTypeLabel = "node.kubernetes.io/instance-type"
	// InstanceFamilyLabel is what AWS calls m5 of m5.large.
	InstanceFamilyLabel = "karpenter.k8s.aws/instance-family"
)

const (
	// InstancePattern is what one entry of [AllowedInstanceTypes] looks like, a regular expression.
	InstancePattern = `[A-Za-z0-9._*-]+`
	// InstanceListPattern is what the whole value looks like.
	InstanceListPattern = `^ *` + InstancePattern + ` *(, *` + InstancePattern + ` *)*$`
)

var (
	instanceEntry = regexp.MustCompile(`^` + InstancePattern + `$`)
	instanceList  = regexp.MustCompile(InstanceListPattern)
)

// ParseInstances reads the value of [AllowedInstanceTypes]: instance types separated by commas,
// in which "*" stands for any number of characters, as in "p4d.*, g5.xlarge". The expression
// matches what is approved, be it an instance type or a pattern.
func ParseInstances(value string) (*regexp.Regexp, error) {
	if !instanceList.MatchString(value) {
		return nil, fmt.Errorf("%q is no list of instance types, separated by commas, of letters, digits and . _ - *", value)
	}
	return regexp.Compile(InstanceExpression(instanceEntries(value)))
}

func instanceEntries(value string) []string {
	entries := strings.Split(value, ",")
	for i := range entries {
		entries[i] = strings.Trim(entries[i], " ")
	}
	return entries
}

// InstanceExpression is the regular expression of patterns: "." is a dot, "*" anything.
func InstanceExpression(patterns []string) string {
	joined := strings.Join(patterns, "|")
	return `^(` + strings.ReplaceAll(strings.ReplaceAll(joined, ".", "[.]"), "*", ".*") + `)$`
}

// Selection says where an object names the instance types that its nodes may have.
type Selection struct {
	// Requirements is the path to a list of key, operator and values, Labels that to a map of
	// labels that the nodes get; empty where there is none.
	Requirements, Labels string
	// Asks is true where the kind asks for nodes itself, so that the cluster's list binds it too.
	Asks bool
}

// Of are the instance types that an object allows: those that it names by a label or by its
// first requirement In; "FAMILY.*" for each family so named; else [AnyInstance]. What narrows them
// further is not looked at.
func (s Selection) Of(object any) []string {
	if types, named := s.named(object, InstanceTypeLabel); named {
		return types
	}
	families, named := s.named(object, InstanceFamilyLabel)
	if !named {
		return []string{AnyInstance}
	}
	for i := range families {
		families[i] += ".*"
	}
	return families
}

// named are the values of a label that an object allows.
func (s Selection) named(object any, label string) (values []string, named bool) {
	if s.Labels != "" {
		if value, is := append(expression.Path(strings.Split(s.Labels, ".")), label).Of(object).(string); is {
			return []string{value}, true
		}
	}
	requirements, _ := expression.Path(strings.Split(s.Requirements, ".")).Of(object).([]any)
	for _, r := range requirements {
		key, _ := expression.Text(r, "key")
		operator, _ := expression.Text(r, "operator")
		if key != label || operator != "In" {
			continue
		}
		list, _ := (expression.Path{"values"}).Of(r).([]any)
		for _, v := range list {
			if text, is := v.(string); is {
				values = append(values, text)
			}
		}
		return values, len(values) > 0
	}
	return nil, false
}

// Instances are the instance types that a write allows, as [Selection.Of] says them.
type Instances struct {
	// New are those after the write, Old those before, none on create.
	New, Old []string
	// Lists are the annotations that bind the object.
	Lists []Setting
}

// Widened are the types that were not allowed before.
func (i Instances) Widened() []string {
	var out []string
	for _, asked := range i.New {
		if !slices.ContainsFunc(i.Old, func(old string) bool { return wider(old, asked) }) {
			out = append(out, asked)
		}
	}
	return out
}

// wider says whether a pattern holds all that another one does.
func wider(pattern, other string) bool {
	if pattern == other {
		return true
	}
	return instanceEntry.MatchString(pattern) && regexp.MustCompile(InstanceExpression([]string{pattern})).MatchString(other)
}

// instances holds what is newly allowed to the approved instance types, as counts are held to
// ceilings: what was allowed before may stay.
func instances(r Request, d *draft) bool {
	if r.Instances == nil {
		return false
	}
	asked, by := unapproved(r.Instances.Widened(), r.Instances.Lists, d)
	if len(asked) == 0 {
		return false
	}
	message := unapprovedMessage(r.Object, asked, by)
	switch r.Mode {
	case Warn:
		d.warn(message)
	case Audit:
	default:
		return d.finish(Deny, ReasonUnapprovedInstanceType, message)
	}
	d.decision.Audit = map[string]string{"unapproved-instance-types": strings.Join(asked, ",")}
	return false
}

// unapproved are the types that the first list which does not approve them all leaves out.
func unapproved(types []string, lists []Setting, d *draft) (out []string, by Setting) {
	for _, list := range lists {
		approved := list.instances(d)
		if approved == nil {
			continue
		}
		for _, t := range types {
			if !approved.MatchString(t) {
				out, by = append(out, t), list
			}
		}
		if len(out) > 0 {
			return out, by
		}
	}
	return nil, by
}

// Unapproved are the instance types that an object allows against a list, and that list.
func Unapproved(i *Instances) ([]string, Setting) {
	if i == nil {
		return nil, Setting{}
	}
	return unapproved(i.New, i.Lists, &draft{})
}

// instances is what a list approves: by its value, or by the last good one while that cannot be
// read; nil where nothing binds.
func (s Setting) instances(d *draft) *regexp.Regexp {
	if !s.Set {
		return nil
	}
	approved, err := ParseInstances(s.Value)
	if err == nil {
		return approved
	}
	d.warn(stale(s, err))
	if s.LastGood == nil {
		return nil
	}
	approved, _ = ParseInstances(*s.LastGood)
	return approved
}

// namedInstances is how many instance types a message lists.
const namedInstances = 3

func unapprovedMessage(o Object, types []string, by Setting) string {
	asked := "every instance type"
	if !slices.Contains(types, AnyInstance) {
		asked = "instance type " + strings.Join(types[:min(len(types), namedInstances)], ", ")
		if more := len(types) - namedInstances; more > 0 {
			asked += fmt.Sprintf(" and %d more", more)
		}
	}
	return fmt.Sprintf("%s: %s allowed by it and not approved by %s; require %s In approved ones, or have somebody who may edit %s approve more",
		o, asked, source(by), InstanceTypeLabel, by.On)
}
