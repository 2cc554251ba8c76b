module forewarm.dev/hello

go 1.26.0
