// Package table is the form of docs/COMPATIBILITY.md: one row a client, made of
// what the tests of package compat report.
package table
