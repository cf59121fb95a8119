// Package buildversion says which version of a program runs.
package buildversion

import "runtime/debug"

// Of returns the version that the linker has set in a program, else the module version that Go
// has recorded (from go install or from git), else "(devel)".
func Of(linked string) string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
