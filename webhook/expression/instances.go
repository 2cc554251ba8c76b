package expression

import (
	"fmt"
	"regexp"
	"strings"
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
	// InstancePattern is what one entry of forewarm.dev/allowed-instance-types looks like, a
	// regular expression.
	InstancePattern = `[A-Za-z0-9._*-]+`
	// InstanceListPattern is what the whole value looks like.
	InstanceListPattern = `^ *` + InstancePattern + ` *(, *` + InstancePattern + ` *)*$`
)

var (
	instanceEntry = regexp.MustCompile(`^` + InstancePattern + `$`)
	instanceList  = regexp.MustCompile(InstanceListPattern)
)

// ParseInstances reads the value of forewarm.dev/allowed-instance-types: instance types separated by
// commas, in which "*" stands for any number of characters, as in "p4d.*, g5.xlarge". The expression
// matches what is approved, be it an instance type or a pattern.
func ParseInstances(value string) (*regexp.Regexp, error) {
	if !instanceList.MatchString(value) {
		return nil, fmt.Errorf("%q is no list of instance types, separated by commas, of letters, digits and . _ - *", value)
	}
	return regexp.Compile(InstanceExpression(InstanceEntries(value)))
}

// InstanceEntries are the entries of a list.
func InstanceEntries(value string) []string {
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
		if value, is := append(Path(strings.Split(s.Labels, ".")), label).Of(object).(string); is {
			return []string{value}, true
		}
	}
	requirements, _ := Path(strings.Split(s.Requirements, ".")).Of(object).([]any)
	for _, r := range requirements {
		key, _ := Text(r, "key")
		operator, _ := Text(r, "operator")
		if key != label || operator != "In" {
			continue
		}
		list, _ := (Path{"values"}).Of(r).([]any)
		for _, v := range list {
			if text, is := v.(string); is {
				values = append(values, text)
			}
		}
		return values, len(values) > 0
	}
	return nil, false
}

// InstancesWithin says whether a pattern holds all that another one does.
func InstancesWithin(pattern, other string) bool {
	if pattern == other {
		return true
	}
	return instanceEntry.MatchString(pattern) && regexp.MustCompile(InstanceExpression([]string{pattern})).MatchString(other)
}
