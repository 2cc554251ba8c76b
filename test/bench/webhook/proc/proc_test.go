package proc

import (
	"os"
	"testing"
)

func TestCPUSecondsGrow(t *testing.T) {
	before, err := CPUSeconds(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for i := range 100_000_000 {
		sum ^= i
	}
	after, err := CPUSeconds(os.Getpid())
	if err != nil || after <= before || sum < 0 {
		t.Errorf("%v s, then %v s, %v", before, after, err)
	}
	if _, err := CPUSeconds(-1); err == nil {
		t.Error("a process that is not there has CPU time")
	}
}

func TestMemory(t *testing.T) {
	resident, err := MemoryMiB(os.Getpid(), "VmRSS")
	if err != nil || resident <= 0 {
		t.Errorf("%v MiB, %v", resident, err)
	}
	if _, err := MemoryMiB(os.Getpid(), "VmNothing"); err == nil {
		t.Error("a field that is not there has a value")
	}
}
