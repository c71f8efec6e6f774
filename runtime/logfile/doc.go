// Package logfile writes and reads container logs in the CRI format, where log
// shippers expect them:
//
//	<log dir>/<namespace>_<name>_<uid>/<container>/<attempt>.log
//	<links dir>/<name>_<namespace>_<container>-<container id>.log -> that file
//
// runtime imports it to write, cmd/podd to hand it to the agent for reading.
package logfile
