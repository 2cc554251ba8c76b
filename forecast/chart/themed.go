package chart

import (
	"fmt"
	"html"
	"image/color"
	"regexp"
	"strings"
)

// classes are what a page calls the colours that charts are drawn in, behind "chart-fill-" or "chart-line-".
var classes = []struct {
	shade color.NRGBA
	name  string
}{{color.NRGBA{}, "ink"}, {forecastShade, "forecast"}, {secondShade, "second"}}

// alike is how much two colours may differ: one that is drawn thinly is rounded on its way.
const alike = 8

// classOf is what a page calls a colour as SVG writes it; empty for one that no chart of ours has.
func classOf(hex string) string {
	var r, g, b int
	if _, err := fmt.Sscanf(hex, "#%02X%02X%02X", &r, &g, &b); err != nil {
		return ""
	}
	near := func(a int, b uint8) bool { return a-int(b) <= alike && int(b)-a <= alike }
	for _, c := range classes {
		if near(r, c.shade.R) && near(g, c.shade.G) && near(b, c.shade.B) {
			return c.name
		}
	}
	return ""
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
			fill = classOf(value)
			if value == "none" {
				out = append(out, `fill="none"`)
			}
		case "stroke":
			names = append(names, "chart-line-"+classOf(value))
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
