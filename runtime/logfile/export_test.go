package logfile

// TailBlock lets tests write logs around the size of a block.
const TailBlock = tailBlock
