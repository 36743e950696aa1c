"use strict";
// The last script: every view is there by now.
savi.start();
