// Package quickstart runs the README's own commands, so that they cannot rot.
//
// The README marks its blocks in the fence:
//
//	```sh quickstart server    one command that stays: started, and left running
//	```sh quickstart           commands for a second terminal, run by bash -e
//	```text quickstart output  lines that the block before must have printed;
//	                           "..." stands for anything, in a line or for lines
//	```sh test                 the one command that runs the whole test suite
//
// They run in order, in the checkout, in a fresh HOME. A test without the build
// tag rig checks that the marks are there and that .ci/run calls the test
// command as printed.
package quickstart
