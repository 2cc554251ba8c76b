package main

// exitOne is the annotation of a command that ends with exit code 1 also where it could do what it
// was asked for: it says when.
const exitOne = "exit-1"

// exitCodes ends the help of every command.
const exitCodes = `
Exit codes:
  0  it did what it was asked for
  1  it could not, and says why on the standard error{{with index .Annotations "` + exitOne + `"}}; or {{.}}{{end}}
`
