"""The study: the paper's tables on rendered clips, with controls and error bars (`make paper`)."""
