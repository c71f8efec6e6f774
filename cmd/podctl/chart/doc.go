// Package chart draws where time went: rows of bars on an axis, as SVG.
//
// podctl imports it.
package chart
