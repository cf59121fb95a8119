package devcluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLibrariesIncludesTheLoader(t *testing.T) {
	const listed = `	linux-vdso.so.1 (0x00007f77f2ce9000)
	libipset.so.13 => /lib/x86_64-linux-gnu/libipset.so.13 (0x00007f77f2c9c000)
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f77f2aba000)
	/lib64/ld-linux-x86-64.so.2 (0x00007f77f2ceb000)
`
	want := map[string]string{
		"libipset.so.13": "/lib/x86_64-linux-gnu/libipset.so.13",
		"libc.so.6":      "/lib/x86_64-linux-gnu/libc.so.6",
		"ld.so":          "/lib64/ld-linux-x86-64.so.2",
	}
	if diff := cmp.Diff(want, libraries(listed)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
