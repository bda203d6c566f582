"""`framelane rules test`: a stream's rules on a recording, with what they count beside the truth."""
