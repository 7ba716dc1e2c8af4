"""Mobile numbers of mainland China: their one form, and the carrier a prefix was given to."""
