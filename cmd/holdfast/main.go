// Command holdfast is the broker, its tools and its console in one binary.
package main

func main() {}
