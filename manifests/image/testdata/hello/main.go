// Command hello is a small program to put into an image.
package main

func main() { println("hello") }
