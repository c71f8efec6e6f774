// Package table has the columns in which kubectl shows each kind of object, and
// makes their rows. podctl imports it.
package table
