package chart

import (
	"fmt"
	"html"
	"regexp"
	"strings"
)

// classes are what a page calls the colours that charts are drawn in, behind "chart-fill-" or "chart-line-".
var classes = map[string]string{
	"#000000": "ink", "#1F77B4": "forecast", "#B45309": "second",
}

var (
	styled = regexp.MustCompile(`style="([^"]*)"`)
	head   = regexp.MustCompile(`(?s)^.*?<svg width="[^"]*" height="[^"]*"`)
)

// themed makes of an SVG document an element of a page that forbids styles in it: with classes in place of
// colours, so that the page's own styles say what they are, by day and by night; as wide as there is room;
// and with a title and a description for those who do not see it. id tells it from others on the page.
func themed(document, id, title, description string) (string, error) {
	opening := head.FindString(document)
	if opening == "" {
		return "", fmt.Errorf("the chart %q does not begin as an SVG document does", title)
	}
	id = html.EscapeString(id)
	begin := fmt.Sprintf(`<svg class="chart" role="img" aria-labelledby="%s-title %s-text"`, id, id)
	told := fmt.Sprintf(`><title id="%s-title">%s</title><desc id="%s-text">%s</desc>`, id, html.EscapeString(title), id, html.EscapeString(description))
	more, rest, found := strings.Cut(document[len(opening):], ">")
	if !found {
		return "", fmt.Errorf("the chart %q does not begin as an SVG document does", title)
	}
	return begin + more + told + styled.ReplaceAllStringFunc(rest, attributes), nil
}

// attributes are what a style says, as attributes and classes. The page's font is used.
func attributes(style string) string {
	var names, out []string
	fill := "ink" // SVG's default is black
	for declaration := range strings.SplitSeq(styled.FindStringSubmatch(style)[1], ";") {
		name, value, _ := strings.Cut(declaration, ":")
		switch name {
		case "fill":
			fill = classes[value]
			if value == "none" {
				out = append(out, `fill="none"`)
			}
		case "stroke":
			names = append(names, "chart-line-"+classes[value])
		case "font-family", "font-variant", "font-weight", "font-style":
		default:
			out = append(out, fmt.Sprintf(`%s="%s"`, name, value))
		}
	}
	if fill != "" {
		names = append(names, "chart-fill-"+fill)
	}
	if len(names) > 0 {
		out = append(out, `class="`+strings.Join(names, " ")+`"`)
	}
	return strings.Join(out, " ")
}
