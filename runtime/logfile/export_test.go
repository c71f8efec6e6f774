package logfile

// TailBlock lets tests write logs around the size of a block.
const TailBlock = tailBlock

// ReadSize bounds a read.
const ReadSize = readSize
